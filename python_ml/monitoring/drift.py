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
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.jobs import job_run

logger = get_logger(__name__)

# Outcomes are written and what lies between them and drift is tested. Its views
# stay: made again, they would take with them all others that stand on them.
SETTLE = (
    "build",
    "--select",
    "forecast_outcomes",
    "forecast_outcomes+,+drift_monitoring,resource_type:test",
    "forecast_outcomes+,+drift_status,resource_type:test",
    "--exclude-resource-type",
    "unit_test",
)

STATUS_QUERY = """
    select *
    from {monitoring}.drift_status
    order by ticker, timeframe
"""

CHECK_COLUMNS = [
    "symbol_id",
    "timeframe",
    "window_ends_at",
    "n_predictions",
    "accuracy",
    "baseline_accuracy",
    "drift_margin",
    "status",
    "recommendation",
]


def check_drift(warehouse: Warehouse) -> pd.DataFrame:
    """Settle what can be settled and record the status of every series.

    Parameters
    ----------
    warehouse : Warehouse

    Returns
    -------
    DataFrame of shape (n_series, n_columns)
        Rows of `monitoring.drift_status`, one per series that has a
        deployment, by ticker and timeframe. The same are in
        `ml.drift_checks`, so that what was reported stays on record when
        later outcomes move the window.

    Raises
    ------
    BuildError
        If settling failed or a test on the outcomes did.
    JobRunningError
        If another process checks drift.
    """
    with job_run(warehouse, "check-drift", {}) as job:
        run_dbt(warehouse, SETTLE)
        status = read_frame(warehouse, STATUS_QUERY)
        checks = status[CHECK_COLUMNS].assign(
            checked_at=pd.Timestamp.now("UTC"), job_run_id=job.job_run_id
        )
        with warehouse.begin() as connection:
            insert_frame(connection, schema.drift_checks, checks)
        job.counts["series"] = len(status)
        job.counts["drifted"] = int(status["drift_detected"].eq(True).sum())
        for name, rows in status.groupby("recommendation"):
            log_event(
                logger, "drift_checked", recommendation=name, series=len(rows)
            )
    return status


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
            "status": "status",
            "trend": "trend",
            "recommendation": "recommendation",
        },
    )
