"""Features read once a row, and the labels matched with them."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from python_ml.examples import labelled_rows
from python_ml.examples.catalog import read_feature_names
from python_ml.examples.cuts import end_of_day, ensure_cuts
from python_ml.examples.labelled_rows import LabelledRows
from python_ml.examples.reading import read_examples
from python_ml.examples.series import resolve_series
from python_ml.warehouse.bulk import read_frame

AS_OF = end_of_day(date(2012, 6, 29))


@pytest.fixture
def sample(built_sample, fresh_warehouse):
    built_sample.close()
    with fresh_warehouse(template=built_sample.parameters.database) as made:
        yield made


def make_rows(places):
    nothing = np.zeros(len(places), np.int64)
    return LabelledRows(
        X=np.asfortranarray(np.arange(12.0).reshape(6, 2)),
        places=np.array(places),
        labels=pd.DataFrame({"horizon_bars": nothing}),
        y=nothing,
        split_parts=nothing,
        label_end_at=nothing.astype("datetime64[us]"),
    )


def test_rows_that_follow_one_another_are_not_copied():
    rows = make_rows([1, 2, 3, 1, 2, 4])
    assert np.shares_memory(rows.features(0, 3), rows.X)
    np.testing.assert_array_equal(rows.features(0, 3), rows.X[1:4])


def test_rows_around_a_hole_are_laid_out_as_those_without():
    rows = make_rows([1, 2, 3, 1, 2, 4])
    found = rows.features(3, 6)
    np.testing.assert_array_equal(found, rows.X[[1, 2, 4]])
    assert found.flags.f_contiguous


def test_a_label_finds_its_row_and_one_without_a_row_is_known():
    places, is_found = labelled_rows._match(
        np.array([3, 5, 9]), np.array([9, 3, 4, 10])
    )
    assert is_found.tolist() == [True, True, False, False]
    assert places[is_found].tolist() == [2, 0]
    assert not labelled_rows._match(np.array([]), np.array([1]))[1].any()


def test_each_row_is_read_once_whatever_its_horizons(sample, monkeypatch):
    series, as_ofs, _ = resolve_series(
        sample, symbols=["AAPL", "MSFT"], timeframes=["d1"], as_of=AS_OF
    )
    ((cut_id, _),) = ensure_cuts(sample, as_ofs, [("XNYS", "d1")]).values()
    names = read_feature_names(sample)
    frames = []

    def read(*arguments):
        frames.append(read_frame(*arguments))
        return frames[-1]

    monkeypatch.setattr(labelled_rows, "read_frame", read)
    examples = read_examples(sample, cut_id, series, names)
    wide = [frame for frame in frames if names[0] in frame]
    assert len(wide) == 1
    assert not wide[0].duplicated(["symbol_id", "bar_number"]).any()
    view = read_frame(
        sample,
        "select * from {features}.training_examples where cut_id = :cut_id "
        "order by symbol_id, horizon_bars, bar_number",
        {"cut_id": cut_id},
    )
    for one in series:
        for rows in examples[one.symbol_id].horizons:
            expected = view[
                (view["symbol_id"] == one.symbol_id)
                & (view["horizon"] == rows.horizon)
            ]
            np.testing.assert_array_equal(rows.X, expected[list(names)])
            np.testing.assert_array_equal(
                rows.bar_numbers, expected["bar_number"]
            )
