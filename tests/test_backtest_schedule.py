from datetime import UTC, date, datetime

import pytest

from python_ml.cli import backtesting
from python_ml.exceptions import SettingsError
from python_ml.operations.backtest.schedule import (
    INTERVALS,
    POLICIES,
    Schedule,
)


def end_of(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 23, 59, 59, 999999, tzinfo=UTC)


def test_the_first_training_knows_nothing_of_the_first_day() -> None:
    schedule = Schedule(date(2012, 3, 1), date(2012, 3, 1))
    assert schedule.starts_at == end_of(2012, 2, 29)
    assert schedule.retrain_times == [schedule.starts_at]
    assert schedule.next_after(schedule.starts_at) == end_of(2012, 3, 1)


def test_months_end_on_their_last_day_and_weeks_on_sunday() -> None:
    schedule = Schedule(date(2012, 1, 30), date(2012, 2, 6))
    assert schedule.times == [
        end_of(2012, 1, 29),
        end_of(2012, 1, 31),
        end_of(2012, 2, 5),
    ]
    assert schedule.weight_times == [end_of(2012, 2, 5)]


def test_nothing_is_planned_for_the_end_of_the_last_day() -> None:
    schedule = Schedule(date(2012, 1, 2), date(2012, 1, 31))
    assert end_of(2012, 1, 31) not in schedule.times


def test_drift_alone_takes_no_notice_of_the_calendar() -> None:
    days = date(2012, 1, 1), date(2012, 12, 31)
    drift = Schedule(*days, policy="drift")
    both = Schedule(*days, policy="both")
    assert drift.retrain_times == [drift.starts_at]
    assert len(both.retrain_times) == 12
    assert drift.judges_drift
    assert both.judges_drift
    assert not Schedule(*days).judges_drift


@pytest.mark.parametrize(
    "wrong",
    [
        {"retrain": "daily"},
        {"weights": "hourly"},
        {"policy": "luck"},
        {"to_date": date(2011, 1, 1)},
    ],
)
def test_what_cannot_be_is_refused_with_what_can(
    wrong: dict[str, object],
) -> None:
    right: dict[str, object] = {
        "from_date": date(2012, 1, 1),
        "to_date": date(2012, 2, 1),
    }
    with pytest.raises(SettingsError, match="--"):
        Schedule(**(right | wrong))  # type: ignore[arg-type]


def test_the_command_offers_what_the_schedule_knows() -> None:
    assert tuple(INTERVALS) == backtesting.INTERVALS
    assert backtesting.POLICIES == POLICIES
