"""Exchange sessions: the days on which bars should exist."""

import functools
import logging
from dataclasses import dataclass
from datetime import date, datetime

import exchange_calendars
import pandas as pd
import sqlalchemy as sa
from exchange_calendars.errors import InvalidCalendarName

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.exceptions import IngestionError
from python_ml.ingestion.calendars.custom import CustomHours
from python_ml.warehouse.bulk import insert_frame

# Bars are numbered from the first session on, so it must never move.
FIRST_SESSION_DATE = date(1990, 1, 1)
YEARS_AHEAD = 2

SESSION_COLUMNS = ["session_date", "opened_at", "closed_at"]

logger = get_logger(__name__)


@dataclass(frozen=True)
class SessionFill:
    """What `fill_sessions` found and did.

    Parameters
    ----------
    sessions : DataFrame of shape (n_sessions, 3)
        All sessions of the calendar as `raw.sessions` now has them, in order:
        session_date (datetime64), opened_at, closed_at (UTC).
    n_added : int
        Sessions that were not stored before.
    n_followed : int
        Sessions still ahead that were corrected or removed.
    differing : tuple of date
        Past sessions on which the library disagrees; left as they were.
    """

    sessions: pd.DataFrame
    n_added: int
    n_followed: int
    differing: tuple[date, ...]


def last_session_date(today: date) -> date:
    """Until when sessions are kept: the end of the year in two years.

    At least two years ahead of any bar, since a bar of the future is rejected,
    and changing only once a year.

    Examples
    --------
    >>> last_session_date(date(2013, 3, 1))
    datetime.date(2015, 12, 31)
    """
    return date(today.year + YEARS_AHEAD, 12, 31)


def calendar_sessions(
    calendar: str, *, through: date, hours: CustomHours | None = None
) -> pd.DataFrame:
    """Every session of an exchange since 1990, early closes included.

    A calendar that is recorded for fewer years begins, or ends, with these.

    Parameters
    ----------
    calendar : str
        Name in `exchange_calendars`, such as "XNYS", or in `hours`; an alias
        is refused, since one exchange under two names would be numbered twice.
    through : date
        Last date, inclusive.
    hours : CustomHours, optional
        What the seeds say of sessions.

    Returns
    -------
    DataFrame of shape (n_sessions, 3)
        session_date (datetime64), opened_at, closed_at (UTC), in order.

    Raises
    ------
    IngestionError
        If there is no such calendar.

    Examples
    --------
    >>> sessions = calendar_sessions("XNYS", through=date(2012, 7, 4))
    >>> sessions.iloc[-1].closed_at  # the day before a holiday
    Timestamp('2012-07-03 17:00:00+0000', tz='UTC')
    """
    if hours is not None:
        if hours.time_zone(calendar) is not None:
            sessions = hours.sessions(
                calendar, since=FIRST_SESSION_DATE, through=through
            )
        else:
            sessions = calendar_sessions(calendar, through=through)
        return _in_microseconds(
            hours.with_exceptions(
                calendar, sessions, calendar_time_zone(calendar, hours=hours)
            )
        )
    return _calendar_sessions(calendar, through).copy()


@functools.cache  # a third of a second
def _calendar_sessions(calendar: str, through: date) -> pd.DataFrame:
    kind = type(_exchange(calendar))
    start, end = pd.Timestamp(FIRST_SESSION_DATE), pd.Timestamp(through)
    if (earliest := kind.bound_min()) is not None:
        start = max(start, earliest)
    if (latest := kind.bound_max()) is not None:
        end = min(end, latest)
    exchange = exchange_calendars.get_calendar(calendar, start=start, end=end)
    if exchange.name != calendar:
        raise IngestionError(
            f"Exchange calendar {calendar!r} is an alias of "
            f"{exchange.name!r}; use {exchange.name!r}."
        )
    schedule = exchange.schedule
    return _in_microseconds(
        pd.DataFrame(
            {
                "session_date": schedule.index,
                "opened_at": schedule["open"].array,
                "closed_at": schedule["close"].array,
            }
        )
    )


def calendar_time_zone(
    calendar: str, *, hours: CustomHours | None = None
) -> str:
    """Zone of the exchange's clocks.

    Raises
    ------
    IngestionError
        If there is no such calendar.

    Examples
    --------
    >>> calendar_time_zone("XNYS")
    'America/New_York'
    """
    own = hours.time_zone(calendar) if hours is not None else None
    return own or str(_exchange(calendar, hours).tz)


def fill_sessions(
    connection: sa.Connection,
    calendar: str,
    *,
    now: datetime,
    hours: CustomHours | None = None,
) -> SessionFill:
    """Bring `raw.sessions` up to date with the calendar, ahead included.

    Sessions that have not opened yet follow the library: exchanges announce
    closures late. Sessions that have opened stay as they were stored even if
    the library now says otherwise, because bars, labels and forecasts are
    numbered by them; each difference is logged and returned.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        In a transaction of the caller.
    calendar : str
        See `calendar_sessions`.
    now : datetime
        What counts as opened; with a time zone.
    hours : CustomHours, optional
        What the seeds say of sessions.
    """
    stored = stored_sessions(connection, calendar)
    newest = stored["session_date"].max()  # NaT while there is none
    through = last_session_date(now.date())
    if len(stored):
        through = max(through, newest.date())
    expected = calendar_sessions(calendar, through=through, hours=hours)

    both = expected.merge(
        stored,
        on="session_date",
        how="outer",
        suffixes=("", "_stored"),
        indicator="found_in",
    )
    is_expected = both["found_in"] != "right_only"
    is_stored = both["found_in"] != "left_only"
    is_beyond = ~(both["session_date"] <= newest)
    differs = (
        ~is_expected
        | ~is_stored
        | (both["opened_at"] != both["opened_at_stored"])
        | (both["closed_at"] != both["closed_at_stored"])
    )
    is_ahead = both["opened_at_stored"].fillna(both["opened_at"]) > now
    is_followed = differs & (is_beyond | is_ahead)
    is_refused = differs & ~is_followed

    outdated = both.loc[is_followed & is_stored, "session_date"]
    if len(outdated):
        connection.execute(
            sa.delete(schema.sessions).where(
                schema.sessions.c.calendar == calendar,
                schema.sessions.c.session_date.in_(list(outdated.dt.date)),
            )
        )
    wanted = both.loc[is_followed & is_expected, SESSION_COLUMNS]
    if len(wanted):
        insert_frame(
            connection, schema.sessions, wanted.assign(calendar=calendar)
        )
    refused = both.loc[is_refused, "session_date"]
    if len(refused):
        log_event(
            logger,
            "past_sessions_differ",
            level=logging.WARNING,
            calendar=calendar,
            sessions=len(refused),
            first=refused.min().date(),
            last=refused.max().date(),
            kept="raw.sessions",
        )
    kept = stored.loc[~stored["session_date"].isin(outdated)]
    return SessionFill(
        sessions=pd.concat([kept, wanted]).sort_values(
            "session_date", ignore_index=True
        ),
        n_added=int((is_followed & ~is_stored).sum()),
        n_followed=len(outdated),
        differing=tuple(refused.dt.date),
    )


def stored_sessions(connection: sa.Connection, calendar: str) -> pd.DataFrame:
    """Sessions of `raw.sessions`, in order; columns of `calendar_sessions`."""
    rows = connection.execute(
        sa.select(
            schema.sessions.c.session_date,
            schema.sessions.c.opened_at,
            schema.sessions.c.closed_at,
        )
        .where(schema.sessions.c.calendar == calendar)
        .order_by(schema.sessions.c.session_date)
    ).all()
    return _in_microseconds(pd.DataFrame(rows, columns=SESSION_COLUMNS))


@functools.cache  # it keeps the last one only
def _library_calendar(calendar: str) -> exchange_calendars.ExchangeCalendar:
    return exchange_calendars.get_calendar(calendar)


def _exchange(
    calendar: str, hours: CustomHours | None = None
) -> exchange_calendars.ExchangeCalendar:
    try:
        return _library_calendar(calendar)
    except InvalidCalendarName:
        own = hours.calendars if hours is not None else ["fx"]
        raise IngestionError(
            f"There is no exchange calendar {calendar!r}; use a name from "
            "exchange_calendars.get_calendar_names(include_aliases=False), "
            "such as 'XNYS' or '24/7', or one of the seed custom_calendars: "
            f"{', '.join(own)}. Hours of your own are rows of that seed."
        ) from None


def _in_microseconds(sessions: pd.DataFrame) -> pd.DataFrame:
    """Postgres keeps microseconds; frames that meet must have one unit."""
    return pd.DataFrame(
        {
            "session_date": pd.to_datetime(sessions["session_date"]).astype(
                "datetime64[us]"
            ),
            "opened_at": pd.to_datetime(sessions["opened_at"], utc=True).astype(
                "datetime64[us, UTC]"
            ),
            "closed_at": pd.to_datetime(sessions["closed_at"], utc=True).astype(
                "datetime64[us, UTC]"
            ),
        }
    )
