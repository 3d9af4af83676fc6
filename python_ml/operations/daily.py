"""The jobs in their order: what the scheduled commands are made of."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from python_ml.console.text_tables import to_records
from python_ml.forecasting.issue import forecast
from python_ml.forecasting.latest import forecast_table, latest_forecasts
from python_ml.forecasting.summary import ForecastSummary
from python_ml.monitoring.drift import check_drift, drift_table
from python_ml.training.summary import TrainingSummary
from python_ml.training.train import train
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import DbtSummary, run_dbt
from python_ml.warehouse.jobs import job_run
from python_ml.warehouse.validation import validate

# A dbt unit test judges the code, not the data: it has run before a release.
BUILD = ("build", "--exclude-resource-type", "unit_test")


@dataclass(frozen=True)
class RunSummary:
    """What `run` did.

    Parameters
    ----------
    build : DbtSummary
    training : TrainingSummary or None
        None when an ensemble was deployed already.
    forecasts : ForecastSummary
    latest_forecasts : DataFrame
        As `latest_forecasts` returns them.
    drift : DataFrame
        One row per series, as `check_drift` returns it.
    """

    build: DbtSummary
    training: TrainingSummary | None
    forecasts: ForecastSummary
    latest_forecasts: pd.DataFrame
    drift: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "build": self.build.counts,
            "training": self.training and self.training.to_dict(),
            "forecasts": self.forecasts.to_dict(),
            "latest_forecasts": to_records(self.latest_forecasts),
            "drift": to_records(self.drift),
        }

    def to_text(self) -> str:
        """What was trained and forecast, and how each series is doing."""
        parts = [
            self.forecasts.to_text(),
            forecast_table(self.latest_forecasts),
            drift_table(self.drift),
        ]
        if self.training is not None:
            parts.insert(0, self.training.to_text())
        return "\n\n".join(parts)


def build(
    warehouse: Warehouse,
    *,
    as_of: datetime | None = None,
    full_refresh: bool = False,
) -> DbtSummary:
    """Build and test every seed, table and view of the dbt project.

    Parameters
    ----------
    warehouse : Warehouse
    as_of : datetime, optional
        With time zone: build what was known then, into schemas of its own
        (`asof_20120629_features` for the end of that day, UTC). The live
        tables stay as they are.
    full_refresh : bool
        Build every table anew, not only what has changed.

    Raises
    ------
    BuildError
        If a dbt model, seed or data test failed.
    JobRunningError
        If another build runs.
    """
    command = list(BUILD)
    arguments: dict[str, Any] = {}
    if as_of is not None:
        arguments["as_of"] = as_of.isoformat()
        command += ["--vars", json.dumps(arguments)]
    if full_refresh:
        arguments["full_refresh"] = True
    # What was known may hold records that came in since: all of it anew, too.
    if arguments:
        command.append("--full-refresh")
    with job_run(warehouse, "build", arguments) as job:
        summary = run_dbt(warehouse, command)
        job.counts["nodes"] = summary.n_nodes
    return summary


def run(warehouse: Warehouse) -> RunSummary:
    """Bring everything up to date: build, validate, train, forecast, check.

    Trains only when nothing is deployed; retraining has commands of its own.
    Stops at the first step that fails, and the same call goes on from there.

    Raises
    ------
    SwiftBoltError
        As the steps raise it.
    """
    with job_run(warehouse, "run", {}) as job:
        built = build(warehouse)
        validate(warehouse, job_run_id=job.job_run_id)
        training = None if is_deployed(warehouse) else train(warehouse)
        forecasts = forecast(warehouse)
        drift = check_drift(warehouse)
    return RunSummary(
        built, training, forecasts, latest_forecasts(warehouse), drift
    )


def is_deployed(warehouse: Warehouse) -> bool:
    """Whether any ensemble is deployed."""
    found = read_frame(
        warehouse,
        "select exists (select 1 from {ml}.deployments) as is_deployed",
    )
    return bool(found["is_deployed"].iloc[0])
