"""Windows of bars for members that model a path."""

from datetime import date

import numpy as np
import pytest

from python_ml.examples.bar_paths import BarPath
from python_ml.examples.catalog import read_feature_names
from python_ml.examples.cuts import end_of_day, ensure_cuts
from python_ml.examples.reading import read_examples
from python_ml.examples.series import resolve_series
from python_ml.exceptions import NotEnoughDataError
from python_ml.members import ROSTER, Roster, RosterEntry
from python_ml.members.base import Member
from python_ml.warehouse.bulk import read_frame

AS_OF = end_of_day(date(2012, 6, 29))
N_BARS = 4


class LastPath(Member):
    """Says what the sign of the last moves was; nothing is learnt."""

    n_path_bars = N_BARS

    def _fit(self, X, y, sample_weight):
        pass

    def _predict_proba(self, X):
        return np.tile(self.climatology_, (len(X), 1))


def make_path():
    values = np.arange(25.0).reshape(5, 5)
    values[2] = np.nan
    return BarPath(10, values)


def test_a_window_ends_with_its_own_bar_and_starts_before_the_first():
    closes = make_path().windows(np.array([14, 11, 10]), 3)[:, :, 3]
    np.testing.assert_array_equal(
        closes,
        [[np.nan, 18, 23], [np.nan, 3, 8], [np.nan, np.nan, 3]],
    )


def test_a_bar_that_is_not_there_is_missing_in_its_window():
    path = make_path()
    assert np.isnan(path.windows(np.array([12]), 1)).all()
    assert np.isnan(path.windows(np.array([16]), 1)).all()


def test_later_bars_change_no_window():
    path = make_path()
    numbers = np.array([10, 12, 13])
    cut = BarPath(path.first_bar_number, path.values[:4])
    np.testing.assert_array_equal(
        cut.windows(numbers, 3), path.windows(numbers, 3)
    )


def test_the_roster_asks_for_the_longest_path_of_its_members(monkeypatch):
    assert Roster({name: 1 / len(ROSTER) for name in ROSTER}).n_path_bars == 0
    monkeypatch.setitem(ROSTER, "path", RosterEntry(LastPath, is_learned=True))
    assert Roster({"climatology": 0.5, "path": 0.5}).n_path_bars == N_BARS


def test_bars_are_read_beside_the_rows_where_a_member_asks(
    built_sample, fresh_warehouse
):
    built_sample.close()
    with fresh_warehouse(template=built_sample.parameters.database) as sample:
        series, as_ofs, _ = resolve_series(
            sample, symbols=["AAPL"], timeframes=["d1"], as_of=AS_OF
        )
        ((cut_id, _),) = ensure_cuts(sample, as_ofs, [("XNYS", "d1")]).values()
        names = read_feature_names(sample)
        (without,) = read_examples(sample, cut_id, series, names).values()
        (found,) = read_examples(
            sample, cut_id, series, names, n_path_bars=LastPath.n_path_bars
        ).values()
        bars = read_frame(
            sample,
            "select bar_number, closed_at, adjusted_close from {features}.bars "
            "where ticker = 'AAPL' and timeframe = 'd1' order by bar_number",
        )
    with pytest.raises(NotEnoughDataError, match="n_path_bars"):
        without.horizons[0].paths(N_BARS)
    assert without.fingerprint() != found.fingerprint()
    for rows in found.horizons:
        paths = rows.paths(N_BARS)
        assert paths.shape == (len(rows.y), N_BARS, 5)
        for place in (0, len(rows.y) // 2, len(rows.y) - 1):
            known = bars[bars["bar_number"] <= rows.bar_numbers[place]]
            np.testing.assert_array_equal(
                paths[place, :, 3], known["adjusted_close"].tail(N_BARS)
            )
        fitted = LastPath().fit(paths.reshape(len(rows.y), -1), rows.y)
        assert fitted.predict_proba(rows.X).shape == (len(rows.y), 3)
