import pyarrow as pa
import pytest

from python_ml.ingestion.readers.number_text import (
    COMMA,
    POINT,
    AmbiguousNumbersError,
    NumberNotation,
    find_number_notation,
)


def column(*texts):
    return pa.chunked_array([pa.array(texts, pa.string())])


@pytest.mark.parametrize(
    ("texts", "decimal", "read"),
    [
        (["10.5", "1000", None], POINT, ["10.5", "1000", None]),
        (["1,234.5", "1,234", "10.25"], POINT, ["1234.5", "1234", "10.25"]),
        (["1'234.50", "1'234"], POINT, ["1234.50", "1234"]),
        (["1,234,567", "10"], POINT, ["1234567", "10"]),
        (["$1,234.50", "-$5.25", "12"], POINT, ["1234.50", "-5.25", "12"]),
        (["12,50 \u20ac", "3"], COMMA, ["12.50", "3"]),
        (["1.5e-3", "1e5"], POINT, ["1.5e-3", "1e5"]),
        (["1.234", "2.345"], POINT, ["1.234", "2.345"]),
        (["10,5", "1000"], COMMA, ["10.5", "1000"]),
        (["1.234,50", "1.234", "12,5"], COMMA, ["1234.50", "1234", "12.5"]),
        (["1 234,50", "1\u202f234,5"], COMMA, ["1234.50", "1234.5"]),
        (["1.234.567", "0,123"], COMMA, ["1234567", "0.123"]),
    ],
)
def test_thousands_and_decimals_are_told_apart(texts, decimal, read):
    notation = find_number_notation([column(*texts)])

    assert notation.decimal == decimal
    assert notation.read(column(*texts)).to_pylist() == read


@pytest.mark.parametrize(
    "texts",
    [["1,234", "2,345"], ["110,123", "100"], ["12,5", "1.5"]],
)
def test_what_can_be_read_in_two_ways_is_refused(texts):
    with pytest.raises(AmbiguousNumbersError, match=texts[0]):
        find_number_notation([column(*texts)])


def test_another_column_decides_what_one_leaves_open():
    prices, volumes = column("10.25", "10.5"), column("1,234", "12,345")

    notation = find_number_notation([prices, volumes])

    assert notation.read(volumes).to_pylist() == ["1234", "12345"]


def test_one_number_in_another_notation_stays_none_and_decides_nothing():
    texts = ["10,25"] * 20 + ["10.25", "abc"]

    notation = find_number_notation([column(*texts)])

    read = notation.read(column(*texts)).to_pylist()
    assert read[:20] == ["10.25"] * 20
    with pytest.raises(ValueError, match=r"10\.25"):
        float(read[20])
    assert read[21] == "abc"


def test_what_was_asked_for_is_not_searched():
    notation = NumberNotation(COMMA)

    assert notation.read(column("110,123")).to_pylist() == ["110.123"]
