"""Where bars may stand: intervals counted from the open of each session."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Microseconds = NDArray[np.int64]

DAY = 86_400_000_000
MINUTE = 60_000_000
# 1970-01-01 was a Thursday: Mondays are this far from whole weeks since.
FIRST_MONDAY = 4 * DAY
# Whatever their minutes, these take whole sessions.
DAILY, WEEKLY = "d1", "w1"
NO_TIME = np.iinfo(np.int64).min
# In place of a session's number where a time names two.
UNCLEAR = -2


@dataclass(frozen=True)
class Places:
    """Bars of the grid that times name.

    Parameters
    ----------
    session_date, opened_at, closed_at : ndarray of shape (n,)
        Microseconds since 1970 UTC; `NO_TIME` where the time names no bar. Of
        a week, its first session, first open and last close.
    reason : ndarray of shape (n,)
        Why it names none: `off_grid` (within a session, or a week, but not
        where a bar begins), `outside_session` (a day with a session, before
        its open or after its close), `no_session` (a day without),
        `unclear_day` (by two readings it names two sessions); else None.
    """

    session_date: Microseconds
    opened_at: Microseconds
    closed_at: Microseconds
    reason: NDArray[np.object_]

    @property
    def is_found(self) -> NDArray[np.bool_]:
        """Whether each time names a bar."""
        is_found: NDArray[np.bool_] = self.opened_at != NO_TIME
        return is_found


class SessionGrid:
    """The bars that can exist on one calendar.

    An intraday bar opens at the session's open plus a whole number of its
    minutes and closes so much later or with the session, whichever is first.
    A d1 bar is a session; a w1 bar all sessions from Monday to Sunday.

    Parameters
    ----------
    sessions : DataFrame
        session_date, opened_at and closed_at of the calendar, in order.
    minutes : mapping of str to int
        Length of the intraday timeframes.
    time_zone : str
        Of the exchange's clocks.

    Examples
    --------
    >>> sessions = pd.DataFrame(
    ...     {
    ...         "session_date": pd.to_datetime(["2012-07-03"]),
    ...         "opened_at": pd.to_datetime(["2012-07-03 13:30Z"]),
    ...         "closed_at": pd.to_datetime(["2012-07-03 17:00Z"]),
    ...     }
    ... )
    >>> grid = SessionGrid(sessions, {"h1": 60}, "America/New_York")
    >>> times = pd.to_datetime(["2012-07-03 16:30Z", "2012-07-03 18:00Z"])
    >>> places = grid.place("h1", microseconds(pd.Series(times)))
    >>> print(to_utc(places.closed_at)[0])  # the half hour before the close
    2012-07-03 17:00:00+00:00
    >>> places.reason.tolist()
    [None, 'outside_session']
    """

    def __init__(
        self,
        sessions: pd.DataFrame,
        minutes: Mapping[str, int],
        time_zone: str,
    ) -> None:
        self.time_zone = time_zone
        self._dates = microseconds(sessions["session_date"])
        self._opened = microseconds(sessions["opened_at"])
        self._closed = microseconds(sessions["closed_at"])
        self._minutes = dict(minutes)
        self._midnights = starts_of_days(self._dates, time_zone)
        mondays = _monday(self._dates)
        # The calendar's last week may have further sessions.
        starts = np.flatnonzero(np.diff(mondays, prepend=NO_TIME))
        self._week_first = starts[:-1]
        self._week_last = starts[1:] - 1
        self._mondays = mondays[self._week_first]
        self._monday_midnights = starts_of_days(self._mondays, time_zone)

    @property
    def timeframes(self) -> frozenset[str]:
        """Timeframes whose bars have a place."""
        return frozenset(self._minutes) | {DAILY, WEEKLY}

    @property
    def intraday_timeframes(self) -> frozenset[str]:
        """Those whose bars are shorter than a session."""
        return frozenset(self._minutes)

    def place(self, timeframe: str, times: Microseconds) -> Places:
        """Find the bars that times name.

        Parameters
        ----------
        timeframe : str
            One of `timeframes`.
        times : ndarray of shape (n,)
            Opens in microseconds since 1970 UTC; `NO_TIME` names no bar. A d1
            bar can also be named by the start of its date, at 00:00 UTC or
            at midnight of the exchange's clocks, a w1 bar by that of its
            Monday or of its first session. Not by any other day: some vendors
            begin weeks on Sunday, others name them by their end, and a bar
            that lands a week early has seen the future.
        """
        if timeframe == DAILY:
            first = self._named_session(times)
            last = first
        elif timeframe == WEEKLY:
            week = self._named_week(times)
            first = _take(self._week_first, week)
            last = _take(self._week_last, week)
        else:
            return self._place_within_sessions(
                times, self._minutes[timeframe] * MINUTE
            )
        return self._places(
            first, self._opened[first], self._closed[last], times, timeframe
        )

    def open_of_close(
        self, timeframe: str, closes: Microseconds
    ) -> Microseconds:
        """When the bars opened that closed at these times.

        A d1 bar is named by its session's close or date (at 00:00 UTC or
        midnight of the exchange's clocks), a w1 bar by its last session's. A
        time at which no bar closes is moved by a microsecond, so that it
        cannot be taken for an open.

        Parameters
        ----------
        timeframe : str
            One of `timeframes`.
        closes : ndarray of shape (n,)
            Microseconds since 1970 UTC, or `NO_TIME`.
        """
        by_close = _find(self._closed, closes)
        if timeframe in (DAILY, WEEKLY):
            by_date = _agreed(
                _find(self._dates, closes), _find(self._midnights, closes)
            )
            session = np.where(by_close >= 0, by_close, by_date)
            is_close = session >= 0
            if timeframe == WEEKLY:
                week = _find(self._week_last, session)
                is_close &= week >= 0
                session = _take(self._week_first, week)
            opened = self._opened[session]
        else:
            length = self._minutes[timeframe] * MINUTE
            within = self._session_around(closes)
            session = np.where(by_close >= 0, by_close, within)
            since_open = closes - self._opened[session]
            # The bar that ends with its session may be shorter.
            is_close = (by_close >= 0) | (since_open % length == 0)
            is_close &= (session >= 0) & (since_open > 0)
            bars_before = (since_open - 1) // length
            opened = self._opened[session] + bars_before * length
        beside = np.where(closes == NO_TIME, NO_TIME, closes - 1)
        return np.where(is_close, opened, beside)

    def is_session_open(self, times: Microseconds) -> NDArray[np.bool_]:
        """Whether sessions open at these times."""
        return _find(self._opened, times) >= 0

    def is_session_close(self, times: Microseconds) -> NDArray[np.bool_]:
        """Whether sessions close at these times and none opens."""
        is_close = _find(np.unique(self._closed), times) >= 0
        return is_close & ~self.is_session_open(times)

    def is_bar_close(
        self, timeframe: str, times: Microseconds
    ) -> NDArray[np.bool_]:
        """Whether bars of an intraday timeframe close at these times."""
        session = self._session_around(times - 1)
        since_open = times - self._opened[session]
        length = self._minutes[timeframe] * MINUTE
        is_close: NDArray[np.bool_] = (session >= 0) & (
            (since_open % length == 0) | (times == self._closed[session])
        )
        return is_close

    def full_session_bars(self, timeframe: str) -> int:
        """Bars of an intraday timeframe in the longest session."""
        length = self._minutes[timeframe] * MINUTE
        longest = (self._closed - self._opened).max(initial=0)
        return int(-(-longest // length))

    def is_in_step(
        self, timeframe: str, times: Microseconds
    ) -> NDArray[np.bool_]:
        """Whether times are whole bars away from an open.

        Of the session whose date the exchange's clocks show; true where there
        is none.
        """
        clock = to_local(times, self.time_zone)
        session = _find(self._dates, _midnight(clock))
        since_open = times - self._opened[session]
        length = self._minutes[timeframe] * MINUTE
        is_in_step: NDArray[np.bool_] = (session < 0) | (
            since_open % length == 0
        )
        return is_in_step

    def _place_within_sessions(
        self, times: Microseconds, length: int
    ) -> Places:
        session = self._session_around(times)
        since_open = times - self._opened[session]
        is_on_grid = (session >= 0) & (since_open % length == 0)
        return self._places(
            np.where(is_on_grid, session, -1),
            times,
            np.minimum(times + length, self._closed[session]),
            times,
            None,
        )

    def _places(
        self,
        session: NDArray[np.intp],
        opened_at: Microseconds,
        closed_at: Microseconds,
        times: Microseconds,
        timeframe: str | None,
    ) -> Places:
        """Blank what has no session and say why."""
        has_place = session >= 0
        reason = np.full(len(times), None, dtype=object)
        lost = ~has_place & (times != NO_TIME)
        reason[lost] = self._why_lost(times[lost], timeframe)
        reason[session == UNCLEAR] = "unclear_day"
        return Places(
            session_date=np.where(has_place, self._dates[session], NO_TIME),
            opened_at=np.where(has_place, opened_at, NO_TIME),
            closed_at=np.where(has_place, closed_at, NO_TIME),
            reason=reason,
        )

    def _why_lost(
        self, times: Microseconds, timeframe: str | None
    ) -> NDArray[np.object_]:
        is_within = self._session_around(times) >= 0
        has_session = _find(self._dates, _midnight(times)) >= 0
        if timeframe == WEEKLY:
            is_within |= np.isin(_monday(times), _monday(self._dates))
        return np.select(
            [is_within, has_session],
            ["off_grid", "outside_session"],
            "no_session",
        ).astype(object)

    def _named_session(self, times: Microseconds) -> NDArray[np.intp]:
        return _agreed(
            _find(self._dates, times),
            _find(self._midnights, times),
            _find(self._opened, times),
        )

    def _named_week(self, times: Microseconds) -> NDArray[np.intp]:
        first = self._week_first
        return _agreed(
            _find(self._mondays, times),
            _find(self._monday_midnights, times),
            _find(self._dates[first], times),
            _find(self._midnights[first], times),
            _find(self._opened[first], times),
        )

    def _session_around(self, times: Microseconds) -> NDArray[np.intp]:
        """Number of the session that is open at each time, else -1."""
        session = np.searchsorted(self._opened, times, side="right") - 1
        is_open = (session >= 0) & (times < self._closed[session])
        return np.where(is_open, session, -1)


def place_bars(
    timeframe: "pd.Series[Any]", moments: Microseconds, grid: SessionGrid
) -> Places:
    """Places of bars of several timeframes.

    Parameters
    ----------
    timeframe : Series of shape (n_bars,)
        Categories; bars of a timeframe that the grid lacks have no place.
    moments : array of shape (n_bars,)
        Times that name the bars.
    grid : SessionGrid
    """
    n_rows = len(moments)
    places = Places(
        np.full(n_rows, NO_TIME),
        np.full(n_rows, NO_TIME),
        np.full(n_rows, NO_TIME),
        np.full(n_rows, None, dtype=object),
    )
    for name in grid.timeframes & {*timeframe.cat.categories}:
        rows = np.flatnonzero(timeframe == name)
        own = grid.place(name, moments[rows])
        places.session_date[rows] = own.session_date
        places.opened_at[rows] = own.opened_at
        places.closed_at[rows] = own.closed_at
        places.reason[rows] = own.reason
    return places


def microseconds(times: "pd.Series[Any]") -> Microseconds:
    """Times as microseconds since 1970 UTC, `NO_TIME` where missing.

    Parameters
    ----------
    times : Series of datetime64
        With a time zone or, taken for UTC, without.
    """
    if times.dt.tz is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    # Missing times are the smallest number in numpy, too.
    values: Microseconds = times.to_numpy("datetime64[us]").astype(np.int64)
    return values


def to_utc(times: Microseconds) -> pd.DatetimeIndex:
    """Times from microseconds since 1970 UTC; the reverse of `microseconds`."""
    return pd.DatetimeIndex(times.view("datetime64[us]"), tz="UTC")


def to_local(moments: Microseconds, time_zone: str) -> Microseconds:
    """What a zone's clocks show at these moments."""
    local = (
        pd.Series(moments.view("datetime64[us]"))
        .dt.tz_localize("UTC")
        .dt.tz_convert(ZoneInfo(time_zone))
        .dt.tz_localize(None)
    )
    return microseconds(local)


def starts_of_days(dates: Microseconds, time_zone: str) -> Microseconds:
    """First moment of each date by a zone's clocks.

    Where the clocks go forward at midnight the day begins at 01:00.

    Examples
    --------
    >>> date = microseconds(pd.Series(pd.to_datetime(["2024-07-02"])))
    >>> print(to_utc(starts_of_days(date, "America/New_York"))[0])
    2024-07-02 04:00:00+00:00
    """
    starts = pd.DatetimeIndex(dates.view("datetime64[us]")).tz_localize(
        time_zone,
        ambiguous=np.ones(len(dates), bool),
        nonexistent="shift_forward",
    )
    return microseconds(pd.Series(starts))


def _find(ordered: Microseconds, wanted: Microseconds) -> NDArray[np.intp]:
    """Where each wanted value stands among the ordered ones, else -1."""
    if not len(ordered):
        return np.full(len(wanted), -1)
    place = np.searchsorted(ordered, wanted).clip(max=len(ordered) - 1)
    return np.where(ordered[place] == wanted, place, -1)


def _agreed(*readings: NDArray[np.intp]) -> NDArray[np.intp]:
    """What the readings find, -1 where none, `UNCLEAR` where they differ."""
    highest = np.max(readings, axis=0)
    found = np.where(np.array(readings) < 0, highest, readings)
    return np.where(np.min(found, axis=0) == highest, highest, UNCLEAR)


def _take(
    values: NDArray[np.intp], place: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Values at places; a place below 0 stays what it is."""
    return np.where(place < 0, place, np.append(values, 0)[place])


def _midnight(times: Microseconds) -> Microseconds:
    return times - times % DAY


def _monday(times: Microseconds) -> Microseconds:
    return times - (times - FIRST_MONDAY) % (7 * DAY)
