import gc

import pandas as pd
import pytest

from python_ml.ingestion import parts as parts_module
from python_ml.ingestion.parts import as_parts
from python_ml.ingestion.readers import spool as spool_module
from python_ml.ingestion.readers.spool import BarSpool


def piece(rows):
    frame = pd.DataFrame(rows, columns=["ticker", "close", "source_row_number"])
    return frame.astype({"ticker": "category"})


PIECES = [
    piece([("B", "1", 1), ("A", "2", 2), (None, "3", 3)]),
    piece([("C", "4", 4), ("B", "5", 5)]),
    piece([("A", 6.0, 6), ("B", 7.0, 7)]),
]


def rows(parts):
    return [
        [
            (*row,)
            for row in part[["ticker", "source_row_number"]].itertuples(
                index=False
            )
        ]
        for part in parts
    ]


@pytest.mark.parametrize("in_memory", [100, 4, 0])
def test_bars_come_back_by_ticker_in_their_order(monkeypatch, in_memory):
    monkeypatch.setattr(spool_module, "ROWS_IN_MEMORY", in_memory)
    monkeypatch.setattr(parts_module, "ROWS_AT_ONCE", 3)
    spool = BarSpool()
    for bars in PIECES:
        spool.add(bars)

    parts = as_parts(spool.finish())

    assert parts.tickers == {"A", "B", "C"}
    found = rows(parts)
    assert len(parts) == len(found) == 4
    assert found[:3] == [
        [("A", 2), ("A", 6)],
        [("B", 1), ("B", 5), ("B", 7)],
        [("C", 4)],
    ]
    assert [number for _, number in found[3]] == [3]
    assert rows(parts)[:3] == found[:3]


@pytest.mark.parametrize("in_memory", [100, 0])
def test_what_came_after_a_mark_can_be_forgotten(monkeypatch, in_memory):
    monkeypatch.setattr(spool_module, "ROWS_IN_MEMORY", in_memory)
    spool = BarSpool()
    spool.add(PIECES[1])
    mark = len(spool)
    spool.add(PIECES[0])
    spool.go_back(mark)
    spool.add(PIECES[2])

    assert rows(as_parts(spool.finish())) == [
        [("A", 6), ("B", 5), ("B", 7), ("C", 4)]
    ]


@pytest.mark.parametrize("in_memory", [100, 0])
def test_rows_of_a_former_ticker_stand_with_those_of_the_present_one(
    monkeypatch, in_memory
):
    monkeypatch.setattr(spool_module, "ROWS_IN_MEMORY", in_memory)
    monkeypatch.setattr(parts_module, "ROWS_AT_ONCE", 2)
    spool = BarSpool()
    for bars in PIECES:
        spool.add(bars)

    parts = as_parts(spool.finish(), {"A": "C", "X": "Y"})

    assert parts.tickers == {"B", "C"}
    found = rows(parts)
    assert found[:2] == [
        [("B", 1), ("B", 5), ("B", 7)],
        [("C", 2), ("C", 4), ("C", 6)],
    ]
    assert [number for _, number in found[2]] == [3]


def test_the_folder_goes_with_the_parts(monkeypatch, tmp_path):
    monkeypatch.setattr(spool_module, "ROWS_IN_MEMORY", 0)
    monkeypatch.setattr(spool_module.tempfile, "tempdir", str(tmp_path))
    spool = BarSpool()
    spool.add(PIECES[0])
    parts = spool.finish()
    assert [*tmp_path.iterdir()]

    del parts, spool
    gc.collect()

    assert not [*tmp_path.iterdir()]
