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
from python_ml.monitoring.alerts.check import alerts_told_after
from python_ml.monitoring.drift import check_drift, drift_table
from python_ml.monitoring.health import HealthSummary, read_health
from python_ml.training.summary import TrainingSummary
from python_ml.training.train import train
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import DbtSummary, run_dbt
from python_ml.warehouse.jobs import job_run
from python_ml.warehouse.quarantine import SetAside
from python_ml.warehouse.series_findings import set_aside_what_is_found
from python_ml.warehouse.validation import validate

# A dbt unit test judges the code, not the data: it has run before a release.
BUILD = ("build", "--exclude-resource-type", "unit_test")


@dataclass(frozen=True)
class BuildSummary:
    """What `build` did.

    Parameters
    ----------
    dbt : DbtSummary
    set_aside : SetAside or None
        Series that are out; None in a build of the past, which judges none.
    """

    dbt: DbtSummary
    set_aside: SetAside | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "nodes": self.dbt.n_nodes,
            **self.dbt.counts,
            "unchanged": self.dbt.n_unchanged,
            "seconds": self.dbt.duration_seconds,
            "set_aside": self.set_aside and self.set_aside.to_dicts(),
        }

    def to_text(self) -> str:
        """What was built, and which series are set aside."""
        counts = {
            "nodes": self.dbt.n_nodes,
            **self.dbt.counts,
            "unchanged": self.dbt.n_unchanged,
        }
        lines = [
            f"Built in {self.dbt.duration_seconds:.1f} s: "
            + ", ".join(f"{count} {name}" for name, count in counts.items())
        ]
        if self.set_aside is not None:
            lines.append(self.set_aside.to_text())
        return "\n".join(filter(None, lines))


@dataclass(frozen=True)
class RunSummary:
    """What `run` did.

    Parameters
    ----------
    build : BuildSummary
    training : TrainingSummary or None
        None when an ensemble was deployed already.
    forecasts : ForecastSummary
    latest_forecasts : DataFrame
        As `latest_forecasts` returns them.
    drift : DataFrame
        One row per series, as `check_drift` returns it.
    health : HealthSummary
        Which series should have been forecast and were not, and why.
    """

    build: BuildSummary
    training: TrainingSummary | None
    forecasts: ForecastSummary
    latest_forecasts: pd.DataFrame
    drift: pd.DataFrame
    health: HealthSummary

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "build": self.build.dbt.counts,
            "set_aside": self.build.to_dict()["set_aside"],
            "training": self.training and self.training.to_dict(),
            "forecasts": self.forecasts.to_dict(),
            "latest_forecasts": to_records(self.latest_forecasts),
            "drift": to_records(self.drift),
            "health": self.health.to_dict(),
        }

    def to_text(self) -> str:
        """What was trained and forecast, and how each series is doing."""
        parts = [
            self.forecasts.to_text(),
            forecast_table(self.latest_forecasts),
            drift_table(self.drift),
            self.health.to_text(),
        ]
        if self.training is not None:
            parts.insert(0, self.training.to_text())
        return "\n\n".join(parts)


def build(
    warehouse: Warehouse,
    *,
    as_of: datetime | None = None,
    full_refresh: bool = False,
) -> BuildSummary:
    """Build and test every seed, table and view of the dbt project.

    What is wrong with single series sets these aside and stops nothing else.

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
        job.counts["unchanged"] = summary.n_unchanged
        if as_of is not None:
            return BuildSummary(summary)
        set_aside = set_aside_what_is_found(
            warehouse, summary, job_run_id=job.job_run_id
        )
        job.counts["set_aside"] = len(set_aside.series)
    return BuildSummary(summary, set_aside)


def run(warehouse: Warehouse) -> RunSummary:
    """Bring everything up to date, and tell alerts at the end.

    Raises
    ------
    SwiftBoltError
        As the steps raise it; alerts are told all the same.
    """
    with alerts_told_after(warehouse):
        return bring_up_to_date(warehouse)


def bring_up_to_date(warehouse: Warehouse) -> RunSummary:
    """Build, validate, train if nothing is deployed, forecast, check drift.

    Retraining has commands of its own. Stops at the first step that fails, and
    the same call goes on from there.

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
        built,
        training,
        forecasts,
        latest_forecasts(warehouse),
        drift,
        read_health(warehouse),
    )


def is_deployed(warehouse: Warehouse) -> bool:
    """Whether any ensemble is deployed."""
    found = read_frame(
        warehouse,
        "select exists (select 1 from {ml}.deployments) as is_deployed",
    )
    return bool(found["is_deployed"].iloc[0])
