import pandas as pd
import pytest

from python_ml.examples.series import Series, narrow_to_series, to_series
from python_ml.exceptions import UnknownSeriesError

BARS = pd.DataFrame(
    {
        "symbol_id": [1, 1, 2],
        "ticker": ["AAPL", "AAPL", "IBM"],
        "calendar": "XNYS",
        "timeframe": ["d1", "w1", "d1"],
    }
)


@pytest.mark.parametrize(
    ("symbols", "timeframes", "expected"),
    [
        (None, None, ["AAPL d1", "AAPL w1", "IBM d1"]),
        (["IBM"], None, ["IBM d1"]),
        (None, ["d1"], ["AAPL d1", "IBM d1"]),
        # A pair without bars is no mistake while another one has some.
        (["IBM", "AAPL"], ["w1"], ["AAPL w1"]),
    ],
)
def test_rows_of_the_series_named_are_left(symbols, timeframes, expected):
    found = to_series(narrow_to_series(BARS, symbols, timeframes))
    assert [str(series) for series in found] == expected


def test_a_series_is_read_from_the_columns_of_a_row():
    assert to_series(BARS.tail(1)) == [Series(2, "IBM", "XNYS", "d1")]


@pytest.mark.parametrize(
    ("symbols", "timeframes", "message"),
    [
        (["IBM", "APPL"], None, "symbol APPL; the warehouse has AAPL, IBM."),
        (None, ["m1"], "timeframe m1; the warehouse has d1, w1."),
        (
            ["IBM"],
            ["w1"],
            "series IBM w1; the warehouse has AAPL d1, AAPL w1, IBM d1.",
        ),
    ],
)
def test_an_unknown_name_is_refused_beside_the_known(
    symbols, timeframes, message
):
    with pytest.raises(UnknownSeriesError) as caught:
        narrow_to_series(BARS, symbols, timeframes)
    assert str(caught.value) == (
        f"Unknown {message} Load others with: swiftbolt ingest --help; which "
        "are deactivated or renamed, says: swiftbolt symbols list"
    )
