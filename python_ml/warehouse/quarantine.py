"""Series that are set aside: out of training and forecasting until they pass.

Each check of single series says what it finds; what it found before and finds
no more is released. `ml.quarantined_series` keeps every span of time with its
reason, so that it answers whether a series was out on some day, and why.

It stands beside the dbt build and the validation, which find what is wrong, so
that training and forecasting find it below them.
"""

import datetime
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.console.text_tables import to_records
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

TABLE = schema.quarantined_series
# The checks; what follows the word names the single one.
FINDINGS = "series_findings"
DBT_TEST = "dbt test"
EXPECTATION = "expectation"

OPEN_QUERY = """
    select
        quarantined.symbol_id,
        symbols.ticker,
        symbols.calendar,
        quarantined.timeframe,
        quarantined.source,
        quarantined.reason,
        quarantined.details,
        quarantined.fault_at,
        quarantined.quarantined_at
    from {ml}.quarantined_series as quarantined
    inner join {raw}.symbols as symbols
        on quarantined.symbol_id = symbols.symbol_id
    where quarantined.released_at is null
    order by
        symbols.ticker, quarantined.timeframe, quarantined.quarantine_id
"""

_Key = tuple[int, str, str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found of one series.

    Parameters
    ----------
    symbol_id : int
    timeframe : str
    source : str
        The check, beginning with one of the words above.
    reason : str
        In a word.
    details : str
        In a sentence, with the numbers.
    fault_at : datetime, optional
        Close of the first bar at fault; by default the whole series is.
    """

    symbol_id: int
    timeframe: str
    source: str
    reason: str
    details: str
    fault_at: datetime.datetime | None = None

    @property
    def key(self) -> _Key:
        """What tells it from others that are open."""
        return (self.symbol_id, self.timeframe, self.source, self.reason)


@dataclass(frozen=True, slots=True)
class SetAside:
    """Which series are out, and what a check has changed of that.

    Parameters
    ----------
    series : DataFrame of shape (n_reasons, n_columns)
        All that is open: `ticker`, `timeframe`, `reason`, `details`,
        `fault_at`, `quarantined_at` and the keys.
    n_new, n_released : int, default=0
        Reasons that the check has added and taken back.
    """

    series: pd.DataFrame
    n_new: int = 0
    n_released: int = 0

    def to_text(self) -> str:
        """A line for each series and reason; empty where none is out."""
        if self.series.empty:
            return ""
        n_series = len(
            self.series[["symbol_id", "timeframe"]].drop_duplicates()
        )
        return "\n".join(
            [
                f"{n_series} series are set aside, out of training and "
                "forecasting until they pass again:",
                *(
                    f"  {row['ticker']} {row['timeframe']}: {row['reason']}, "
                    f"{row['details']} (since {row['quarantined_at']:%Y-%m-%d})"
                    for row in self.series.to_dict("records")
                ),
            ]
        )

    def to_dicts(self) -> list[dict[str, Any]]:
        """The same, ready for JSON."""
        return to_records(self.series)


def set_aside(
    warehouse: Warehouse,
    findings: Iterable[Finding],
    *,
    is_judged: Callable[[str], bool],
    job_run_id: int | None,
) -> SetAside:
    """Write what is found, and release what is found no more.

    Parameters
    ----------
    warehouse : Warehouse
    findings : iterable of Finding
    is_judged : callable
        Whether a source was judged, so that what it does not find any more is
        released.
    job_run_id : int or None
        Of the job that judges.
    """
    found = {finding.key: finding for finding in findings}
    now = datetime.datetime.now(datetime.UTC)
    with warehouse.begin() as connection:
        still_open = connection.execute(
            sa.select(TABLE).where(TABLE.c.released_at.is_(None))
        )
        opened: dict[_Key, int] = {
            (
                row.symbol_id,
                row.timeframe,
                row.source,
                row.reason,
            ): row.quarantine_id
            for row in still_open
        }
        released = [
            quarantine_id
            for key, quarantine_id in opened.items()
            if key not in found and is_judged(key[2])
        ]
        if released:
            connection.execute(
                TABLE.update()
                .where(TABLE.c.quarantine_id.in_(released))
                .values(released_at=now, released_by_job_run_id=job_run_id)
            )
        new = [finding for key, finding in found.items() if key not in opened]
        if new:
            connection.execute(
                TABLE.insert(),
                [
                    {
                        **asdict(finding),
                        "quarantined_at": now,
                        "job_run_id": job_run_id,
                    }
                    for finding in new
                ],
            )
    log_event(
        logger,
        "series_set_aside",
        reasons=len(found),
        new=len(new),
        released=len(released),
    )
    return replace(
        read_set_aside(warehouse), n_new=len(new), n_released=len(released)
    )


def read_set_aside(warehouse: Warehouse) -> SetAside:
    """Read which series are out now."""
    return SetAside(read_frame(warehouse, OPEN_QUERY))
