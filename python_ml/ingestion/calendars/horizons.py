"""The spans ahead of a calendar that the seed `horizons` lacks."""

from collections.abc import Mapping

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.ingestion.calendars.grid import DAILY, WEEKLY
from python_ml.warehouse.bulk import insert_frame

# A horizon within the session is of at least so many bars.
LEAST_BARS = 4
HOURS = (1, 4)
N_HORIZONS = 3
WEEKS = (1, 4)
WEEKS_OF_WEEKLY = (4, 12, 24)


def default_horizons(
    sessions: pd.DataFrame, minutes: Mapping[str, int]
) -> pd.DataFrame:
    """Horizons of every timeframe, the same spans as the seed has for XNYS.

    Intraday an hour and four, as far as they are at least four bars and less
    than a session; then a session, a week and four weeks: of these the first
    three. Weeks of sessions are named by their number: 5d, or 7d where there is
    one every day. What is usual counts: the most frequent length of a session
    and the most frequent number of them in a week.

    Parameters
    ----------
    sessions : DataFrame
        session_date, opened_at and closed_at of the calendar.
    minutes : mapping of str to int
        Length of the intraday timeframes.

    Returns
    -------
    DataFrame
        timeframe, horizon, horizon_bars and is_base, for the first of each.

    Examples
    --------
    >>> days = pd.date_range("2024-07-01", periods=10, freq="B", tz="UTC")
    >>> sessions = pd.DataFrame(
    ...     {
    ...         "session_date": days.tz_localize(None),
    ...         "opened_at": days + pd.Timedelta("13h30min"),
    ...         "closed_at": days + pd.Timedelta("20h"),
    ...     }
    ... )
    >>> found = default_horizons(sessions, {"h1": 60})
    >>> found.loc[found["timeframe"] == "h1"].set_index("horizon")[
    ...     "horizon_bars"
    ... ].to_dict()
    {'4h': 4, '1d': 7, '5d': 35}
    """
    length = (sessions["closed_at"] - sessions["opened_at"]).mode().iloc[0]
    session_minutes = int(length.total_seconds()) // 60
    weeks = sessions["session_date"].dt.to_period("W").value_counts()
    per_week = int(weeks.mode().iloc[-1])
    spans = {
        f"{n_sessions}d": n_sessions
        for n_sessions in (1, *(number * per_week for number in WEEKS))
    }
    ladders = {DAILY: spans}
    for timeframe, bar_minutes in minutes.items():
        within = {
            f"{hours}h": hours * 60 // bar_minutes
            for hours in HOURS
            if LEAST_BARS * bar_minutes <= hours * 60 < session_minutes
        }
        # The last bar of a session may be shorter.
        bars = -(-session_minutes // bar_minutes)
        ladders[timeframe] = within | {
            name: number * bars for name, number in spans.items()
        }
    ladders[WEEKLY] = {
        f"{number * per_week}d": number for number in WEEKS_OF_WEEKLY
    }
    return pd.DataFrame(
        [
            {
                "timeframe": timeframe,
                "horizon": name,
                "horizon_bars": bars,
                "is_base": place == 0,
            }
            for timeframe, ladder in ladders.items()
            for place, (name, bars) in enumerate(
                list(ladder.items())[:N_HORIZONS]
            )
        ]
    ).sort_values("timeframe", kind="stable", ignore_index=True)


def keep_default_horizons(
    connection: sa.Connection, calendar: str, horizons: pd.DataFrame
) -> None:
    """Write the default horizons of a calendar that has none yet.

    Those that are there stay, whatever sessions have come since: labels are
    built by them.
    """
    table = schema.default_horizons
    has_some = connection.execute(
        sa.select(table.c.horizon).where(table.c.calendar == calendar).limit(1)
    ).first()
    if has_some is None:
        insert_frame(connection, table, horizons.assign(calendar=calendar))
