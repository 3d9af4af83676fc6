"""Hours that the seeds give: calendars of one's own, and exceptions to any.

`custom_calendars` has a row for each weekday with a session, whose date is the
day on which it closes: one that opens at or after the time at which it closes
opens on the evening before. `calendar_exceptions` adds a session, changes its
hours or takes it away, on calendars of the library as well.
"""

import re
from dataclasses import dataclass
from datetime import date

import pandas as pd

from python_ml.exceptions import IngestionError, SettingsError
from python_ml.ingestion.calendars.times import checked_time_zone
from python_ml.settings import Settings
from python_ml.warehouse.seeds import read_seed

WEEKDAYS = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
]
CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")
WEEKS, EXCEPTIONS = "custom_calendars", "calendar_exceptions"


@dataclass(frozen=True)
class CustomHours:
    """What the seeds say of sessions.

    Parameters
    ----------
    weeks : DataFrame
        calendar, time_zone, weekday, opens, closes.
    exceptions : DataFrame
        calendar, session_date, opens, closes, is_open; of a day that is not
        open the hours are empty.

    Raises
    ------
    SettingsError
        If a row cannot be used as it is.

    Examples
    --------
    >>> from python_ml.settings import load_settings
    >>> hours = CustomHours.from_seeds(load_settings({}))
    >>> hours.time_zone("fx")
    'America/New_York'
    >>> sessions = hours.sessions(
    ...     "fx", since=date(2024, 7, 1), through=date(2024, 7, 1)
    ... )
    >>> sessions.opened_at[0]  # on Sunday, at 17:00 in New York
    Timestamp('2024-06-30 21:00:00+0000', tz='UTC')
    """

    weeks: pd.DataFrame
    exceptions: pd.DataFrame

    def __post_init__(self) -> None:
        for row in self.weeks.itertuples():
            where = f"Seed {WEEKS!r}, {row.calendar} on {row.weekday}"
            if row.weekday not in WEEKDAYS:
                raise SettingsError(
                    f"{where}: there is no such weekday; use one of "
                    f"{', '.join(WEEKDAYS)}."
                )
            _minutes(row.opens, where)
            _minutes(row.closes, where)
            try:
                checked_time_zone(str(row.time_zone))
            except IngestionError as error:
                raise SettingsError(f"{where}: {error}") from None
        for row in self.exceptions.itertuples():
            where = f"Seed {EXCEPTIONS!r}, {row.calendar} on {row.session_date}"
            try:
                date.fromisoformat(str(row.session_date))
            except ValueError:
                raise SettingsError(
                    f"{where}: write the date like 2024-11-02."
                ) from None
            if row.is_open:
                _minutes(row.opens, where)
                _minutes(row.closes, where)
        for seed, rows, key in (
            (WEEKS, self.weeks, ["calendar", "weekday"]),
            (EXCEPTIONS, self.exceptions, ["calendar", "session_date"]),
        ):
            twice = rows.loc[rows.duplicated(key), key]
            if len(twice):
                first = " on ".join(str(value) for value in twice.iloc[0])
                raise SettingsError(
                    f"Seed {seed!r} has {first} twice; leave one row."
                )
        zones = self.weeks.groupby("calendar")["time_zone"].nunique()
        if (zones > 1).any():
            raise SettingsError(
                f"Seed {WEEKS!r} has {zones.idxmax()} in two time zones; "
                "leave one."
            )

    @classmethod
    def from_seeds(cls, settings: Settings) -> "CustomHours":
        """Read both seeds."""
        return cls(
            weeks=read_seed(settings, WEEKS),
            exceptions=read_seed(settings, EXCEPTIONS),
        )

    @property
    def calendars(self) -> list[str]:
        """Names of the calendars with hours of their own."""
        return sorted({*self.weeks["calendar"]})

    def time_zone(self, calendar: str) -> str | None:
        """Zone of a calendar with hours of its own; else None."""
        zones = self.weeks.loc[self.weeks["calendar"] == calendar, "time_zone"]
        return None if zones.empty else str(zones.iloc[0])

    def sessions(
        self, calendar: str, *, since: date, through: date
    ) -> pd.DataFrame:
        """Sessions of a calendar with hours of its own, exceptions left out.

        Returns
        -------
        DataFrame of shape (n_sessions, 3)
            session_date, opened_at, closed_at (UTC), in order.
        """
        weeks = self.weeks.loc[self.weeks["calendar"] == calendar]
        days = pd.date_range(since, through)
        hours = weeks.set_index("weekday")[["opens", "closes"]].reindex(
            days.day_name()
        )
        return sessions_at(
            pd.DataFrame({"session_date": days, **hours.reset_index(drop=True)})
            .dropna()
            .reset_index(drop=True),
            str(self.time_zone(calendar)),
        )

    def with_exceptions(
        self, calendar: str, sessions: pd.DataFrame, time_zone: str
    ) -> pd.DataFrame:
        """Sessions of any calendar with what the seed says otherwise.

        Of the dates that `sessions` span, and of later ones.
        """
        own = self.exceptions.loc[self.exceptions["calendar"] == calendar]
        if own.empty:
            return sessions
        own = own.assign(session_date=pd.to_datetime(own["session_date"]))
        is_open = own["is_open"].astype(bool)
        kept = sessions.loc[~sessions["session_date"].isin(own["session_date"])]
        added = sessions_at(
            own.loc[is_open, ["session_date", "opens", "closes"]], time_zone
        )
        return pd.concat([kept, added]).sort_values(
            "session_date", ignore_index=True
        )


def sessions_at(days: pd.DataFrame, time_zone: str) -> pd.DataFrame:
    """Sessions by the clocks of a zone.

    Parameters
    ----------
    days : DataFrame
        session_date (datetime64), opens and closes as "17:00".
    time_zone : str
    """
    opens, closes = (
        pd.to_timedelta([_minutes(clock) for clock in days[name]], unit="min")
        for name in ("opens", "closes")
    )
    dates = pd.DatetimeIndex(days["session_date"])
    evening_before = pd.to_timedelta((opens >= closes).astype(int), unit="D")
    return pd.DataFrame(
        {
            "session_date": dates,
            "opened_at": _in_utc(dates - evening_before + opens, time_zone),
            "closed_at": _in_utc(dates + closes, time_zone),
        }
    )


def _in_utc(clock: pd.DatetimeIndex, time_zone: str) -> pd.DatetimeIndex:
    """Moments; of a time shown twice the first, of one skipped the next."""
    return clock.tz_localize(
        time_zone,
        ambiguous=[True] * len(clock),  # type: ignore[arg-type]
        nonexistent="shift_forward",
    ).tz_convert("UTC")


def _minutes(clock: object, where: str = "") -> int:
    """Minutes since midnight of a time such as 17:00; 24:00 ends the day."""
    found = CLOCK.fullmatch(str(clock).strip())
    minutes = int(found[1]) * 60 + int(found[2]) if found else None
    if minutes is None or minutes > 24 * 60:
        raise SettingsError(
            f"{where}: {clock} is no time of day; write it like 17:00."
        )
    return minutes
