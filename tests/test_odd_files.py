"""Odd and damaged files: no stack trace, no wrong value, nothing lost."""

import contextlib
import random
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from python_ml.exceptions import IngestionError
from python_ml.ingestion.calendars.grid import SessionGrid
from python_ml.ingestion.calendars.sessions import (
    calendar_sessions,
    calendar_time_zone,
)
from python_ml.ingestion.parts import as_parts
from python_ml.ingestion.readers.bar_file import BarFile
from python_ml.ingestion.screening.bars import screen_bars
from tests.odd_files import FIELDS, odd_file

NOW = datetime(2024, 12, 1, tzinfo=UTC)
N_FILES = 1_200
N_EVERY_RUN = 120


@pytest.fixture(scope="module")
def grid():
    return SessionGrid(
        calendar_sessions("XNYS", through=date(2025, 12, 31)),
        {"m15": 15, "h1": 60, "h4": 240},
        calendar_time_zone("XNYS"),
    )


def read_and_screen(path, grid, **options):
    """Accepted bars by row number, and the reasons of the others."""
    load = BarFile([path], name="odd", **options).read()
    accepted, rejected = {}, {}
    for bars in as_parts(load.bars):
        good, reasons = screen_bars(
            bars, grid, now=NOW, time_zone=load.time_zone
        )
        numbers = bars["source_row_number"]
        for place, row in good.iterrows():
            accepted[int(numbers[place])] = row
        for place, reason in reasons.items():
            rejected[int(numbers[place])] = reason
    return accepted, rejected


def check(seed, folder, grid):
    """Whether the file was refused; an error names what is wrong with it."""
    made = odd_file(seed, folder)
    told = f"seed {seed}: {made.path} {made.description}"
    refusal = None
    try:
        accepted, rejected = read_and_screen(made.path, grid, **made.options)
    except IngestionError as error:
        refusal = str(error)
    if refusal is not None:
        assert "\n" not in refusal, told
        assert made.must_be_refused or made.may_be_refused, f"{told}: {refusal}"
        return True
    assert not made.must_be_refused, f"{told}: was read"

    found = {*accepted, *rejected}
    assert found == {*made.rows}, f"{told}: {found ^ {*made.rows}} lost or made"
    lost = {*rejected} - made.damaged
    reasons = {number: rejected[number] for number in lost}
    assert not reasons, f"{told}: good rows were rejected: {reasons}"
    for number, row in accepted.items():
        truth = dict(zip(FIELDS, made.rows[number], strict=True))
        assert row["ticker"] == truth["symbol"], told
        assert row["timeframe"] == truth["timeframe"], told
        expected = truth["ts"]
        if truth["timeframe"] == "d1":
            assert row["session_date"] == expected.tz_localize(None), told
        else:
            assert row["opened_at"] == expected, told
        for name in ("open", "high", "low", "close", "volume"):
            assert row[name] == truth[name], f"{told}: {name} of {number}"
    return False


def test_no_odd_file_is_misread_or_breaks_the_reader(tmp_path, grid):
    refused = [check(seed, tmp_path, grid) for seed in range(N_EVERY_RUN)]

    # The generator would be of no use if most were.
    assert 0.02 < np.mean(refused) < 0.3


def test_flipped_bytes_never_end_in_a_stack_trace(tmp_path, grid):
    for seed in range(1_000, 1_000 + N_EVERY_RUN // 2):
        made = odd_file(seed, tmp_path)
        content = bytearray(made.path.read_bytes())
        chance = random.Random(seed)
        for _ in range(chance.choice((1, 3, 20)) if content else 0):
            content[chance.randrange(len(content))] = chance.randrange(256)
        made.path.write_bytes(bytes(content))
        # What the values are now, nobody can tell.
        with contextlib.suppress(IngestionError):
            read_and_screen(made.path, grid, **made.options)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_no_further_odd_file_is_misread_either(tmp_path, grid, part):
    first = N_EVERY_RUN + part * (N_FILES // 10)
    for seed in range(first, first + N_FILES // 10):
        check(seed, tmp_path, grid)


def test_the_check_sees_a_wrong_value(tmp_path, grid, monkeypatch):
    seed = next(
        seed
        for seed in range(N_EVERY_RUN)
        if not odd_file(seed, tmp_path).must_be_refused
        and not odd_file(seed, tmp_path).damaged
    )
    read = BarFile.read

    def shifted(self):
        load = read(self)
        close = pd.to_numeric(load.bars["close"], errors="coerce")
        object.__setattr__(
            load, "bars", load.bars.assign(close=close * (1 + 1e-6))
        )
        return load

    assert check(seed, tmp_path, grid) is False
    monkeypatch.setattr(BarFile, "read", shifted)
    with pytest.raises(AssertionError, match="close of"):
        check(seed, tmp_path, grid)
