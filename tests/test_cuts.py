from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from python_ml import schema
from python_ml.examples.catalog import read_horizons
from python_ml.examples.cuts import (
    SPLITS,
    end_of_day,
    ensure_cuts,
    make_cut,
    needed_bars,
)
from python_ml.exceptions import NotEnoughDataError, SettingsError

START = pd.Timestamp("2020-01-01T21:00", tz="UTC")


def make_grid(n_bars, first_bar_number=1):
    """Bar n closes n - 1 days after the start."""
    numbers = np.arange(first_bar_number, first_bar_number + n_bars)
    return pd.DataFrame(
        {
            "bar_number": numbers,
            "closed_at": START + pd.to_timedelta(numbers - 1, unit="D"),
        }
    )


def close_of(bar_number):
    return (START + timedelta(days=bar_number - 1)).to_pydatetime()


def cut(grid, as_of, **keywords):
    return make_cut(
        grid,
        calendar="XNYS",
        timeframe="d1",
        as_of=as_of,
        **{
            "first_bar_number": 1,
            "window_bars": 600,
            "longest_horizon_bars": 20,
            **keywords,
        },
    )


def test_a_cut_done_by_hand():
    # n_T = 1000, the window ends at 980 and begins at 381; 70% of 600 is 420.
    found = cut(make_grid(1200), close_of(1000))
    assert found.window_bars == 600
    assert found.window_starts_at == close_of(381)
    assert found.validation_starts_at == close_of(801)
    assert found.fit_labels_end_before == close_of(801)


@pytest.mark.parametrize(("embargo_bars", "ends_before"), [(1, 801), (5, 797)])
def test_the_embargo_moves_the_end_of_fit_labels(embargo_bars, ends_before):
    found = cut(make_grid(1200), close_of(1000), embargo_bars=embargo_bars)
    assert found.fit_labels_end_before == close_of(ends_before)
    assert found.validation_starts_at == close_of(801)


@pytest.mark.parametrize(
    ("split", "starts"), [("70/30", 801), ("60/40", 741), ("80/20", 861)]
)
def test_the_split_places_validation(split, starts):
    found = cut(make_grid(1200), close_of(1000), split=split)
    assert found.validation_starts_at == close_of(starts)


def test_a_bar_that_closes_a_microsecond_after_the_as_of_time_is_not_used():
    moment = close_of(1000) - timedelta(microseconds=1)
    found = cut(make_grid(1200), moment)
    assert found.window_starts_at == close_of(380)


def test_the_as_of_day_belongs_to_the_window():
    found = cut(make_grid(1200), end_of_day(close_of(1000).date()))
    assert found.window_starts_at == close_of(381)


def test_a_young_market_gets_a_shorter_window():
    found = cut(make_grid(1200), close_of(400), first_bar_number=61)
    assert found.window_starts_at == close_of(61)
    assert found.window_bars == 320
    assert found.validation_starts_at == close_of(61 + 224)


def test_bars_are_numbered_from_anywhere():
    found = cut(make_grid(1000, first_bar_number=201), close_of(1000))
    assert found.window_starts_at == close_of(381)


@given(
    st.integers(300, 1200),
    st.integers(1, 30),
    st.sampled_from(sorted(SPLITS)),
    st.integers(1, 10),
)
def test_fit_labels_end_before_validation_and_validation_by_the_as_of_time(
    last, longest_horizon, split, embargo_bars
):
    found = cut(
        make_grid(1250),
        close_of(last),
        longest_horizon_bars=longest_horizon,
        split=split,
        embargo_bars=embargo_bars,
    )
    assert found.window_starts_at < found.fit_labels_end_before
    assert found.fit_labels_end_before - found.validation_starts_at == (
        timedelta(days=1 - embargo_bars)
    )
    last_of_window = found.window_starts_at + timedelta(
        days=found.window_bars - 1
    )
    assert last_of_window + timedelta(days=longest_horizon) == close_of(last)


def test_an_as_of_time_before_the_data_names_the_earliest_date():
    with pytest.raises(NotEnoughDataError) as raised:
        cut(make_grid(1200), close_of(1) - timedelta(days=30))
    needed = needed_bars("70/30", 20) + 20 + 1
    assert "0 usable bars exist" in str(raised.value)
    assert f"needs {needed}" in str(raised.value)
    assert f"{close_of(needed):%Y-%m-%d} (--as-of)" in str(raised.value)


def test_the_earliest_date_named_is_indeed_the_earliest():
    with pytest.raises(NotEnoughDataError) as raised:
        cut(make_grid(1200), close_of(100), first_bar_number=61)
    named = str(raised.value).partition("earliest as-of date is ")[2][:10]
    earliest = end_of_day(date.fromisoformat(named))
    assert cut(make_grid(1200), earliest, first_bar_number=61)
    with pytest.raises(NotEnoughDataError):
        cut(make_grid(1200), earliest - timedelta(days=1), first_bar_number=61)


def test_a_grid_that_is_too_short_asks_for_more_bars():
    with pytest.raises(NotEnoughDataError, match="Load more bars; 193"):
        cut(make_grid(150), close_of(150))


def test_a_seed_that_asks_for_too_small_a_window_is_blamed():
    with pytest.raises(NotEnoughDataError, match="window_bars 50 in the seed"):
        cut(make_grid(1200), close_of(1000), window_bars=50)


def test_an_unknown_split_is_told_with_those_there_are():
    with pytest.raises(SettingsError, match="'90/10'; use one of 70/30, 60/40"):
        cut(make_grid(1200), close_of(1000), split="90/10")


@pytest.mark.parametrize("embargo_bars", [0, -1])
def test_no_embargo_is_refused(embargo_bars):
    with pytest.raises(SettingsError, match=f"embargo_bars is {embargo_bars};"):
        cut(make_grid(1200), close_of(1000), embargo_bars=embargo_bars)


AS_OF = {"XNYS": datetime(2012, 6, 29, 23, 59, 59, 999999, tzinfo=UTC)}


@pytest.fixture(scope="module")
def sample(sample_database, fresh_warehouse):
    with fresh_warehouse(template=sample_database) as made:
        yield made


def n_cuts(warehouse):
    with warehouse.begin() as connection:
        return connection.execute(
            sa.select(sa.func.count()).select_from(schema.training_cuts)
        ).scalar_one()


def test_a_cut_is_recorded_once(sample):
    keys = [("XNYS", "d1"), ("XNYS", "w1")]
    first = ensure_cuts(sample, AS_OF, keys)
    assert n_cuts(sample) == 2
    assert ensure_cuts(sample, AS_OF, keys) == first
    assert n_cuts(sample) == 2
    ensure_cuts(sample, AS_OF, keys[:1], split="60/40")
    assert n_cuts(sample) == 3


def test_a_longest_horizon_that_is_gone_makes_another_cut(sample):
    # All history is asked for: the window is the same, the times in it not.
    key = [("XNYS", "w1")]
    [(before, _)] = ensure_cuts(sample, AS_OF, key).values()
    with sample.begin() as connection:
        connection.execute(
            sa.text(
                sample.sql(
                    "delete from {features}.horizons "
                    "where timeframe = 'w1' and horizon_bars = 24"
                )
            )
        )

    [(after, _)] = ensure_cuts(sample, AS_OF, key).values()

    assert after != before


def test_a_calendar_that_the_seed_lacks_has_its_horizons_by_rule(sample):
    key = [("XNYS", "d1")]
    horizons = read_horizons(sample)
    [(before, _)] = ensure_cuts(sample, AS_OF, key).values()
    with sample.begin() as connection:
        connection.execute(
            sa.text(
                sample.sql(
                    "delete from {features}.horizons where timeframe = 'd1'"
                )
            )
        )

    [(after, _)] = ensure_cuts(sample, AS_OF, key).values()

    # Those by rule are what the seed had.
    assert after == before
    of_sample = horizons["calendar"] == "XNYS"
    found = read_horizons(sample)
    pd.testing.assert_frame_equal(
        found[found["calendar"] == "XNYS"].reset_index(drop=True),
        horizons[of_sample].reset_index(drop=True),
    )


def test_too_few_bars_record_no_cut(sample):
    before = n_cuts(sample)
    with pytest.raises(NotEnoughDataError, match="XNYS w1 as of 2001-12-31"):
        ensure_cuts(
            sample,
            {"XNYS": datetime(2001, 12, 31, tzinfo=UTC)},
            [("XNYS", "d1"), ("XNYS", "w1")],
        )
    assert n_cuts(sample) == before


def test_recorded_times_are_closes_of_the_grid(sample):
    found = ensure_cuts(sample, AS_OF, [("XNYS", "d1")])
    [(cut_id, made)] = found.values()
    with sample.begin() as connection:
        row = connection.execute(
            sa.text(
                sample.sql(
                    """
                    select
                        count(*) as n_times,
                        max(bar_number) - min(bar_number) as n_fit
                    from {features}.bar_grid as grid
                    inner join {ml}.training_cuts as cuts
                        on grid.closed_at in (
                            cuts.window_starts_at, cuts.validation_starts_at
                        )
                    where cut_id = :cut_id and grid.timeframe = 'd1'
                    """
                )
            ),
            {"cut_id": cut_id},
        ).one()
    assert (row.n_times, row.n_fit) == (2, 420)
    assert made.window_bars == 600
