"""Drift: how forecasts that have settled compare with what was expected.

The arithmetic is `monitoring.drift_status`; here outcomes are settled, the
status is read and what was reported is kept. Drift is a row, not an error:
whatever the status, the check has succeeded.
"""

import pandas as pd

from python_ml import schema
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.console.text_tables import to_text
from python_ml.monitoring.retraining import (
    ask_for_trainings,
    begin_anew,
    read_candidates,
)
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.jobs import job_run

logger = get_logger(__name__)

# Outcomes are written, added to the evidence, and these and what is judged by
# them are tested; all days of the past are by each build. Views stay: made
# again, they would take with them all others that stand on them.
SETTLE = (
    "build",
    "--select",
    "forecast_outcomes",
    "evidence_streams",
    "drift_status,resource_type:test",
    "--exclude-resource-type",
    "unit_test",
)

STATUS_QUERY = """
    with largest as (
        select distinct on (symbol_id, timeframe)
            symbol_id,
            timeframe,
            test as evidence_test,
            horizon as evidence_horizon,
            evidence / threshold as evidence_share,
            bool_or(is_alarm) over series as is_alarm,
            bool_or(is_discovery) over series as is_discovery
        from {monitoring}.drift_evidence
        where symbol_id is not null
        window series as (partition by symbol_id, timeframe)
        order by symbol_id, timeframe, evidence / threshold desc, test
    )
    select
        status.*,
        largest.evidence_test,
        largest.evidence_horizon,
        largest.evidence_share,
        coalesce(largest.is_alarm, false) as is_alarm,
        coalesce(largest.is_discovery, false) as is_discovery
    from {monitoring}.drift_status as status
    left join largest
        on status.symbol_id = largest.symbol_id
        and status.timeframe = largest.timeframe
    order by status.ticker, status.timeframe
"""

CHECK_COLUMNS = [
    "symbol_id",
    "timeframe",
    "window_ends_at",
    "n_predictions",
    "n_effective",
    "accuracy",
    "accuracy_lower",
    "accuracy_upper",
    "baseline_accuracy",
    "drift_margin",
    "drift_detected",
    "status",
    "recommendation",
    "evidence_share",
    "evidence_test",
    "evidence_horizon",
    "is_alarm",
    "is_discovery",
    "action",
]


def check_drift(warehouse: Warehouse) -> pd.DataFrame:
    """Settle what can be settled, judge every series and ask for trainings.

    Parameters
    ----------
    warehouse : Warehouse

    Returns
    -------
    DataFrame of shape (n_series, n_columns)
        Rows of `monitoring.drift_status`, one per series that has a
        deployment, by ticker and timeframe, with its largest evidence and
        what was done (`action`, and why: `request_kind`). The same are in
        `ml.drift_checks`, so that what was known and done stays on record,
        whatever moves the window later.

    Raises
    ------
    BuildError
        If settling failed or a test on the outcomes did.
    JobRunningError
        If another process checks drift.
    """
    with job_run(warehouse, "check-drift", {}) as job:
        begin_anew(warehouse, job_run_id=job.job_run_id)
        run_dbt(warehouse, SETTLE)
        status = read_frame(warehouse, STATUS_QUERY)
        candidates = read_candidates(warehouse)
        # What was asked for and the record of it: both or neither.
        with warehouse.begin() as connection:
            status = _with_actions(
                status, ask_for_trainings(connection, candidates)
            )
            checks = status[CHECK_COLUMNS].assign(
                checked_at=pd.Timestamp.now("UTC"), job_run_id=job.job_run_id
            )
            insert_frame(connection, schema.drift_checks, checks)
        job.counts["series"] = len(status)
        job.counts["drifted"] = int(status["drift_detected"].eq(True).sum())
        job.counts["alarms"] = int(status["is_alarm"].sum())
        job.counts["requested"] = int(
            status["action"].eq("retrain_requested").sum()
        )
        for name, rows in status.groupby("recommendation"):
            log_event(
                logger, "drift_checked", recommendation=name, series=len(rows)
            )
    return status


def _with_actions(status: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Add what was done about each series, and why."""
    status = status.merge(
        asked[["symbol_id", "timeframe", "action", "kind"]].rename(
            columns={"kind": "request_kind"}
        ),
        how="left",
        on=["symbol_id", "timeframe"],
    )
    # Without any candidate the column is one of missing numbers.
    return status.assign(action=status["action"].astype(object).fillna("none"))


def drift_table(status: pd.DataFrame) -> str:
    """Text of what `check_drift` returned."""
    return to_text(
        status,
        columns={
            "ticker": "ticker",
            "timeframe": "timeframe",
            "window_ends_at": "settled to (UTC)",
            "n_predictions": "n",
            "accuracy": "accuracy",
            "accuracy_lower": "95% from",
            "accuracy_upper": "to",
            "baseline_accuracy": "baseline",
            "drift_margin": "margin",
            "status": "by margin",
            "drift_detected": "beyond chance",
            "evidence_share": "evidence",
            "is_alarm": "alarm",
            "trend": "trend",
            "recommendation": "recommendation",
            "action": "done",
            "request_kind": "because of",
        },
    )
