"""How each series is, and which should have been forecast and was not.

`monitoring.series_health` says all of it in SQL but for the age of the bars,
which is told by the clock and so belongs here.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from python_ml.console.text_tables import to_records, to_text
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

# Run after a session's close and before its bars are loaded, one is missing.
MAX_SESSIONS_AGO = 1

HEALTH_QUERY = """
    select *
    from {monitoring}.series_health
    where
        is_expected
        and (cast(:symbols as text[]) is null or ticker = any(:symbols))
        and (
            cast(:timeframes as text[]) is null
            or timeframe = any(:timeframes)
        )
    order by ticker, timeframe_order
"""

AGES_QUERY = """
    with
    newest as (
        select calendar, max(newest_closed_at) as newest_closed_at
        from {monitoring}.series_health
        where is_expected
        group by calendar
    )
    select
        newest.calendar,
        newest.newest_closed_at,
        count(sessions.session_date) as sessions_ago
    from newest
    left join {raw}.sessions as sessions
        on
            newest.calendar = sessions.calendar
            and sessions.closed_at > newest.newest_closed_at
            and sessions.closed_at <= :now
    group by newest.calendar, newest.newest_closed_at
    order by newest.calendar
"""

TABLE = {
    "ticker": "ticker",
    "timeframe": "timeframe",
    "status": "status",
    "reason": "reason",
    "since": "since (UTC)",
    "recovers_on": "recovers",
    "newest_closed_at": "newest bar (UTC)",
}
REMEDIES = {
    "no_version": "train them: swiftbolt train --all",
    "not_forecast": (
        "their version takes effect after their newest bar, so they are "
        "forecast from the next one on"
    ),
    "behind": (
        "others have newer bars: load theirs; of what trades no more say so: "
        "swiftbolt symbols delist --help"
    ),
    "unusable": (
        "features.gaps shows missing bars; they are back on the day named"
    ),
    "quarantined": (
        "load what is missing or mend it, then swiftbolt build; accept what "
        "is right: swiftbolt symbols accept --help; leave out what is not "
        "wanted: swiftbolt symbols deactivate --help"
    ),
}


@dataclass(frozen=True)
class HealthSummary:
    """Series that should be forecast, and how old the bars are.

    Parameters
    ----------
    series : DataFrame of shape (n_series, n_columns)
        Rows of `monitoring.series_health` that are expected to be forecast.
    ages : DataFrame of shape (n_calendars, 3)
        `calendar`, `newest_closed_at` and `sessions_ago`: sessions that have
        closed since, by the clock.
    """

    series: pd.DataFrame
    ages: pd.DataFrame

    @property
    def missing(self) -> pd.DataFrame:
        """Series whose newest bar is not forecast, or older than others'."""
        return self.series[self.series["status"] != "forecast"]

    @property
    def are_all_bars_old(self) -> bool:
        """Whether no calendar has bars of a recent session."""
        return bool(
            len(self.ages)
            and (self.ages["sessions_ago"] > MAX_SESSIONS_AGO).all()
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "not_forecast": to_records(self.missing),
            "newest_bars": to_records(self.ages),
            "are_all_bars_old": self.are_all_bars_old,
        }

    def to_text(self) -> str:
        """Every series that is not forecast and why; the age of the bars."""
        lines = []
        missing = self.missing
        if len(missing):
            lines += [
                f"{len(missing)} of {len(self.series)} series are not "
                "forecast at their newest bar:",
                to_text(missing, columns=TABLE, at_most=len(missing)),
                *(
                    f"{row['ticker']} {row['timeframe']}: {row['details']}."
                    for row in missing.to_dict("records")
                    if isinstance(row["details"], str)
                ),
                *(
                    f"{status}: {remedy}."
                    for status, remedy in REMEDIES.items()
                    if missing["status"].eq(status).any()
                ),
            ]
        lines += [
            f"Newest bar of {row['calendar']}: closed "
            f"{row['newest_closed_at']:%Y-%m-%d %H:%M} UTC, "
            f"{row['sessions_ago']} sessions ago."
            for row in self.ages.to_dict("records")
        ]
        if self.are_all_bars_old:
            lines.append(
                "WARNING: all bars are old, and so is every forecast made "
                "from them. Load newer ones: swiftbolt ingest bars FILE"
            )
        return "\n".join(lines)


def read_health(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    now: datetime.datetime | None = None,
) -> HealthSummary:
    """Read how the series are that should be forecast.

    Parameters
    ----------
    warehouse : Warehouse
        With its views built.
    symbols, timeframes : sequence of str, optional
        By default all.
    now : datetime, optional
        The clock, by default the real one.
    """
    return HealthSummary(
        read_frame(
            warehouse,
            HEALTH_QUERY,
            {
                "symbols": None if symbols is None else list(symbols),
                "timeframes": None if timeframes is None else list(timeframes),
            },
        ),
        read_frame(
            warehouse,
            AGES_QUERY,
            {"now": now or datetime.datetime.now(datetime.UTC)},
        ),
    )
