"""Requests to train a series again, and the training that serves them.

People file them, and jobs that watch may. A series has at most one open
request; it is closed by the training that leaves the series with an up-to-date
version, and stays open, with the reason, when that fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from python_ml import schema
from python_ml.console.json_text import to_plain
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.console.text_tables import to_records
from python_ml.examples.series import resolve_series
from python_ml.exceptions import (
    JobRunningError,
    SettingsError,
    SwiftBoltError,
    TrainingError,
)
from python_ml.registry.promotion.decisions import PromotionMode
from python_ml.training.summary import TrainingSummary
from python_ml.training.train import train
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run

logger = get_logger(__name__)

OPEN_QUERY = """
    select
        requests.retrain_request_id,
        requests.symbol_id,
        symbols.ticker,
        requests.timeframe,
        requests.reason,
        requests.requested_by,
        requests.requested_at,
        requests.n_attempts,
        requests.error_message,
        exists (
            select 1
            from {features}.bars as bars
            where
                bars.symbol_id = requests.symbol_id
                and bars.timeframe = requests.timeframe
        ) as has_bars
    from {ml}.retrain_requests as requests
    inner join {raw}.symbols as symbols
        on requests.symbol_id = symbols.symbol_id
    inner join {features}.timeframes as timeframes
        on requests.timeframe = timeframes.timeframe
    where requests.status = 'open'
    order by requests.timeframe, symbols.ticker
"""


@dataclass(frozen=True)
class RequestsSummary:
    """What became of the open requests.

    Parameters
    ----------
    requests : DataFrame
        One row per request that was open: `ticker`, `timeframe`, `reason`,
        `requested_by`, `outcome` (served or open), `version_id`,
        `error_message`.
    trainings : tuple of TrainingSummary
        One per timeframe.
    """

    requests: pd.DataFrame
    trainings: tuple[TrainingSummary, ...]

    def count(self, outcome: str) -> int:
        """Number of requests with an outcome."""
        return int((self.requests["outcome"] == outcome).sum())

    def to_dict(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            "served": self.count("served"),
            "open": self.count("open"),
            "requests": to_plain(to_records(self.requests)),
            "trainings": [one.to_dict() for one in self.trainings],
        }

    def to_text(self) -> str:
        """For people."""
        if self.requests.empty:
            return "No request is open."
        lines = [one.to_text() + "\n" for one in self.trainings]
        lines.append(
            f"{self.count('served')} requests served, {self.count('open')} "
            "left open."
        )
        lines += [
            f"Open: {row['ticker']} {row['timeframe']}: {row['error_message']}"
            for row in self.requests.to_dict("records")
            if row["outcome"] == "open"
        ]
        return "\n".join(lines)


def request_retrain(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    reason: str,
    requested_by: str,
) -> pd.DataFrame:
    """File requests; a series that has an open one keeps that.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes : sequence of str or None
        Which series, None for all.
    reason, requested_by : str
        For the record.

    Returns
    -------
    DataFrame of shape (n_series, n_columns)
        `ticker`, `timeframe`, `is_new`.

    Raises
    ------
    UnknownSeriesError
        If a symbol, a timeframe or a pair of them has no bars.
    """
    if not reason.strip():
        raise SettingsError("A reason is needed, for the record.")
    series, _, _ = resolve_series(
        warehouse, symbols=symbols, timeframes=timeframes, as_of=None
    )
    table = schema.retrain_requests
    with warehouse.begin() as connection:
        filed = {
            tuple(row)
            for row in connection.execute(
                insert(table)
                .values(
                    [
                        {
                            "requested_at": datetime.now(UTC),
                            "symbol_id": one.symbol_id,
                            "timeframe": one.timeframe,
                            "reason": reason,
                            "requested_by": requested_by,
                            "status": "open",
                            "n_attempts": 0,
                        }
                        for one in series
                    ]
                )
                .on_conflict_do_nothing(
                    index_elements=["symbol_id", "timeframe"],
                    index_where=sa.text("status = 'open'"),
                )
                .returning(table.c.symbol_id, table.c.timeframe)
            )
        }
    log_event(logger, "retrain_requested", series=len(series), new=len(filed))
    return pd.DataFrame(
        [
            {
                "ticker": one.ticker,
                "timeframe": one.timeframe,
                "is_new": (one.symbol_id, one.timeframe) in filed,
            }
            for one in series
        ]
    )


def serve_requests(
    warehouse: Warehouse,
    *,
    promotion: PromotionMode = "judge",
    n_jobs: int | None = None,
) -> RequestsSummary:
    """Train the series of all open requests as of their last bars.

    A request is served when its series is trained or up to date, whether or
    not the new version was promoted. If the process dies in between, the same
    call finds the series up to date and closes it.

    Parameters
    ----------
    warehouse : Warehouse
    promotion : {"judge", "always", "never"}
        As in `train`.
    n_jobs : int, optional
        Processes, by default one per core.

    Raises
    ------
    TrainingError
        If requests are open and none could be served.
    JobRunningError
        If another training runs.
    """
    with job_run(warehouse, "serve-requests", {"promotion": promotion}) as job:
        open_ = read_frame(warehouse, OPEN_QUERY)
        rows: list[dict[str, Any]] = []
        trainings = []
        for timeframe, requests in open_.groupby("timeframe", sort=False):
            able = requests[requests["has_bars"]]
            problem = "it has no bars. Load them: swiftbolt ingest bars FILE"
            results = pd.DataFrame(columns=["symbol_id", "status"])
            job_run_id = None
            if len(able):
                problem = "it was not trained"
                try:
                    summary = train(
                        warehouse,
                        symbols=able["ticker"].tolist(),
                        timeframes=[str(timeframe)],
                        trigger="request",
                        promotion=promotion,
                        n_jobs=n_jobs,
                    )
                except JobRunningError:
                    raise
                except SwiftBoltError as error:
                    problem = str(error)
                else:
                    trainings.append(summary)
                    results, job_run_id = summary.results, summary.job_run_id
            with warehouse.begin() as connection:
                rows += [
                    _close(connection, request, results, job_run_id, problem)
                    for request in requests.to_dict("records")
                ]
        found = RequestsSummary(
            pd.DataFrame(rows, columns=[*_COLUMNS]), tuple(trainings)
        )
        job.counts["served"] = found.count("served")
        job.counts["open"] = found.count("open")
        if rows and not found.count("served"):
            raise TrainingError(
                f"None of {len(rows)} requests could be served: "
                f"{rows[0]['ticker']} {rows[0]['timeframe']}: "
                f"{rows[0]['error_message']}"
            )
    return found


_COLUMNS = (
    "ticker",
    "timeframe",
    "reason",
    "requested_by",
    "outcome",
    "version_id",
    "error_message",
)


def _close(
    connection: sa.Connection,
    request: dict[Any, Any],
    results: pd.DataFrame,
    job_run_id: int | None,
    problem: str,
) -> dict[str, Any]:
    """Write down what became of one request."""
    mine = results[results["symbol_id"] == request["symbol_id"]]
    done = mine[mine["status"] == "succeeded"]
    version_id = None if done.empty else str(done["version_id"].iloc[0])
    message = None
    if version_id is None:
        message = problem
        if len(mine):
            message = str(mine["error_message"].iloc[0])
    table = schema.retrain_requests
    connection.execute(
        table.update()
        .where(
            table.c.retrain_request_id == request["retrain_request_id"],
            table.c.status == "open",
        )
        .values(
            n_attempts=table.c.n_attempts + 1,
            error_message=message,
            **(
                {}
                if version_id is None
                else {
                    "status": "served",
                    "served_by": job_run_id,
                    "served_version_id": version_id,
                    "served_at": datetime.now(UTC),
                }
            ),
        )
    )
    return {
        "ticker": request["ticker"],
        "timeframe": request["timeframe"],
        "reason": request["reason"],
        "requested_by": request["requested_by"],
        "outcome": "open" if version_id is None else "served",
        "version_id": version_id,
        "error_message": message,
    }
