"""When a backtest trains, moves weights and forecasts; pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd

from python_ml.examples.cuts import end_of_day
from python_ml.exceptions import SettingsError

# The last day of each interval, as pandas says it.
INTERVALS = {
    "never": None,
    "weekly": "W-SUN",
    "monthly": "ME",
    "quarterly": "QE",
    "yearly": "YE",
}
POLICIES = ("calendar", "drift", "both")


@dataclass(frozen=True)
class Schedule:
    """The days of a backtest and what is planned for them.

    Everything is decided at the end of a day, UTC, by what had closed by
    then; what it brings forecasts the bars that close later.

    Parameters
    ----------
    from_date, to_date : date
        First and last day whose bars are forecast.
    retrain, weights : str
        Key of `INTERVALS`.
    policy : {"calendar", "drift", "both"}
        Whether the calendar retrains, or a judgement of drift, or either.

    Raises
    ------
    SettingsError
        If a name is unknown, or the days are in the wrong order.

    Examples
    --------
    >>> schedule = Schedule(
    ...     date(2012, 1, 1), date(2012, 3, 15), "monthly", "never"
    ... )
    >>> [f"{time:%m-%d}" for time in schedule.retrain_times]
    ['12-31', '01-31', '02-29']
    """

    from_date: date
    to_date: date
    retrain: str = "monthly"
    weights: str = "weekly"
    policy: str = "calendar"

    def __post_init__(self) -> None:
        for what, value, known in (
            ("--retrain", self.retrain, tuple(INTERVALS)),
            ("--weights", self.weights, tuple(INTERVALS)),
            ("--policy", self.policy, POLICIES),
        ):
            if value not in known:
                raise SettingsError(
                    f"{what} is {value!r}; use one of {', '.join(known)}."
                )
        if self.from_date > self.to_date:
            raise SettingsError(
                f"--from {self.from_date} lies after --to {self.to_date}."
            )

    @property
    def starts_at(self) -> datetime:
        """End of the day before the first: the first training's as-of."""
        return end_of_day(self.from_date - timedelta(days=1))

    @property
    def ends_at(self) -> datetime:
        """End of the last day."""
        return end_of_day(self.to_date)

    @property
    def judges_drift(self) -> bool:
        """Whether drift retrains."""
        return self.policy != "calendar"

    @property
    def retrain_times(self) -> list[datetime]:
        """When the calendar retrains; the first training is always there."""
        interval = "never" if self.policy == "drift" else self.retrain
        return [self.starts_at, *self._ends_of(interval)]

    @property
    def weight_times(self) -> list[datetime]:
        """When weights are fitted anew."""
        return list(self._ends_of(self.weights))

    @property
    def times(self) -> list[datetime]:
        """All times at which something is planned, in order."""
        return sorted({*self.retrain_times, *self.weight_times})

    def next_after(self, at: datetime) -> datetime:
        """Next time at which something is planned, or the end."""
        return min(
            (time for time in self.times if time > at), default=self.ends_at
        )

    def _ends_of(self, interval: str) -> Iterator[datetime]:
        frequency = INTERVALS[interval]
        if frequency is None:
            return
        for day in pd.date_range(self.from_date, self.to_date, freq=frequency):
            # After the last day there is nothing to forecast.
            if day.date() < self.to_date:
                yield end_of_day(day.date())
