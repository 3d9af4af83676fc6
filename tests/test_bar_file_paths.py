import os
from pathlib import Path

import pytest

from python_ml.exceptions import IngestionError
from python_ml.ingestion.readers.bar_file import default_name
from python_ml.ingestion.readers.paths import PathPattern, find_bar_files
from python_ml.ingestion.readers.timeframe_names import timeframe_name


@pytest.fixture
def folder(tmp_path):
    for name in ("b/B.CSV", "b/A.csv.gz", "a.parquet", "notes.md", ".x.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(folder, *paths):
    found = find_bar_files([folder / path for path in paths])
    return [str(path.relative_to(folder)) for path in found]


def test_files_folders_and_globs_are_found_once_and_in_order(folder):
    assert names(folder, ".") == ["a.parquet", "b/A.csv.gz", "b/B.CSV"]
    assert names(folder, "b/B.CSV", "b/*", "**/B*") == [
        "b/B.CSV",
        "b/A.csv.gz",
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent.csv", "absent.csv cannot be read: No such file"),
        ("*.txt", "No file matches"),
        ("notes.md", r"ends in .md; only files that end in"),
        ("empty", r"Folder .*empty has no file whose name ends"),
        ("pipe.csv", r"pipe.csv is no plain file"),
    ],
)
def test_what_is_no_file_of_bars_is_refused_by_name(folder, path, message):
    os.mkfifo(folder / "pipe.csv")
    (folder / "empty").mkdir()

    with pytest.raises(IngestionError, match=message):
        find_bar_files([folder / path])


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("{symbol}/{timeframe}.csv", "x/ACME/1h.csv.gz", ("ACME", "1h")),
        ("{symbol}_{timeframe}", "ACME_d1.parquet", ("ACME", "d1")),
        ("{timeframe}/*/{symbol}.txt", "d1/us/a.us.txt", ("a.us", "d1")),
        ("{symbol}.us", "acme.us.txt", ("acme", None)),
        ("{symbol}_{timeframe}", "ACME.csv", None),
        ("{symbol}/{timeframe}", "/ACME-d1.csv", None),
    ],
)
def test_symbol_and_timeframe_are_read_from_the_path(pattern, path, found):
    match = PathPattern(pattern).match(Path(path))

    if found is None:
        assert match is None
    else:
        assert (match.get("symbol"), match.get("timeframe")) == found


@pytest.mark.parametrize(
    "pattern", ["{ticker}.csv", "{symbol}/{symbol}", "*.csv", "{symbol"]
)
def test_what_is_no_pattern_is_refused_with_an_example(pattern):
    with pytest.raises(IngestionError, match=r"--path-pattern '\{symbol\}/"):
        PathPattern(pattern)


def test_a_source_is_called_after_its_first_path():
    assert default_name(None, Path("data/ACME.csv.gz")) == "ACME"
    assert default_name(None, Path("data/daily/*.csv")) == "daily"
    assert default_name("my data", Path("x.csv")) == "my_data"


def test_timeframes_are_read_as_vendors_spell_them():
    spelt = {
        "m15": ("15Min", "M15", "15", "15m", "15 mins", "m15"),
        "h1": ("1h", "60", "H1", "hour", "1Hour", "60min"),
        "h4": ("240", "4H"),
        "d1": ("D", "1Day", "daily", "1440", "ohlcv-1d", "1D"),
        "w1": ("W", "1wk", "10080"),
        "mo1": ("1M", "MN1", "M", "month"),
        "m1": ("1m", "M1", "minute"),
        None: ("soon", "0", "", "1.5h", "x15"),
    }
    for name, texts in spelt.items():
        assert {timeframe_name(text) for text in texts} == {name}
