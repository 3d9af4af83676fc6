"""Features read once a row, and the labels matched with them."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from python_ml.examples import labelled_rows
from python_ml.examples.catalog import (
    read_feature_names,
    read_horizon_feature_names,
)
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
        X_by_horizon=np.arange(100.0, 100 + len(places)).reshape(-1, 1),
        places=np.array(places),
        labels=pd.DataFrame({"horizon_bars": nothing}),
        y=nothing,
        split_parts=nothing,
        label_end_at=nothing.astype("datetime64[us]"),
    )


def test_a_label_has_the_features_of_its_row_and_its_own():
    rows = make_rows([1, 2, 3, 1, 2, 4])
    found = rows.features(np.array([3, 5]))
    np.testing.assert_array_equal(found[:, :2], rows.X[[1, 4]])
    np.testing.assert_array_equal(found[:, 2], [103, 105])
    assert found.flags.f_contiguous


def test_a_number_that_is_none_spoils_the_labels_that_have_it():
    rows = make_rows([1, 2, 1])
    rows.X[2, 0] = np.nan
    rows.X_by_horizon[2] = np.inf
    assert rows.is_finite().tolist() == [True, False, False]


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
    by_horizon = read_horizon_feature_names(sample)
    assert names[-len(by_horizon) :] == by_horizon
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
            assert len(np.unique(rows.X[:, -1])) > 100
            np.testing.assert_array_equal(
                rows.bar_numbers, expected["bar_number"]
            )


def test_scoring_and_training_have_the_same_feature_of_a_horizon(sample):
    series, as_ofs, _ = resolve_series(
        sample, symbols=["AAPL"], timeframes=["d1", "w1"], as_of=AS_OF
    )
    ensure_cuts(
        sample, as_ofs, [(one.calendar, one.timeframe) for one in series]
    )
    for view in ("training_examples", "pooled_examples"):
        rows = read_frame(
            sample,
            f"""
            select
                examples.forecast_to_expected as trained,
                scoring.forecast_to_expected as scored,
                ln(
                    scoring.forecast_volatility / scoring.expected_volatility
                ) as expected
            from {{features}}.{view} as examples
            inner join {{features}}.scoring_examples as scoring
                using (symbol_id, timeframe, horizon, bar_number)
            """,
        )
        assert len(rows) > 1000
        np.testing.assert_array_equal(rows["trained"], rows["scored"])
        warm = rows.dropna()
        assert len(warm) > 1000
        np.testing.assert_allclose(
            warm["scored"], warm["expected"], rtol=0, atol=1e-12
        )
        assert (rows.loc[rows["expected"].isna(), "scored"] == 0).all()
