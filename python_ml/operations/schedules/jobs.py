"""The jobs of a schedule and what each of them does."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from python_ml.exceptions import SettingsError
from python_ml.operations import daily
from python_ml.training.requests import serve_requests
from python_ml.training.train import train
from python_ml.training.weight_updates import UpdateSummary, update_weights
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.validation import validate


class Summary(Protocol):
    """What a job did."""

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""

    def to_text(self) -> str:
        """What a person wants to know."""


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """One job of a schedule.

    Parameters
    ----------
    name : str
        In `ml.job_runs`, of its folder of logs and of its script.
    span : {"day", "week", "month", "request"}
        What has to end, or be asked for, before it is due.
    grace : timedelta
        How long after that it may take to run before it counts as overdue.
    does : str
        For people.
    work : callable
        Takes the warehouse and does it.
    """

    name: str
    span: str
    grace: datetime.timedelta
    does: str
    work: Callable[[Warehouse], Summary]


@dataclass(frozen=True, slots=True)
class WeightsSummary:
    """What an update of weights did, in a line for each outcome.

    Parameters
    ----------
    update : UpdateSummary
    """

    update: UpdateSummary

    def to_dict(self) -> dict[str, Any]:
        """Number of series and horizons by outcome."""
        counts = self.update.results["outcome"].value_counts()
        return {str(name): int(count) for name, count in counts.items()}

    def to_text(self) -> str:
        """The same in words."""
        counts = self.to_dict()
        return "Weights: " + (
            ", ".join(f"{count} {name}" for name, count in counts.items())
            or "nothing is live"
        )


def _update_weights(warehouse: Warehouse) -> Summary:
    return WeightsSummary(update_weights(warehouse))


def _retrain(warehouse: Warehouse) -> Summary:
    daily.build(warehouse)
    validate(warehouse)
    return train(warehouse, trigger="scheduled")


JOBS = {
    job.name: job
    for job in (
        ScheduledJob(
            "daily_run",
            "day",
            datetime.timedelta(hours=24),
            "build, validate, forecast, check drift",
            daily.bring_up_to_date,
        ),
        ScheduledJob(
            "weekly_weights",
            "week",
            datetime.timedelta(days=3),
            "weigh the members of what is live anew",
            _update_weights,
        ),
        ScheduledJob(
            "monthly_retrain",
            "month",
            datetime.timedelta(days=7),
            "build, validate, train every series",
            _retrain,
        ),
        ScheduledJob(
            "emergency_retrain",
            "request",
            datetime.timedelta(days=1),
            "train what ml.retrain_requests asks for",
            serve_requests,
        ),
    )
}


def find_job(name: str) -> ScheduledJob:
    """The job of a name.

    Raises
    ------
    SettingsError
        If there is none.
    """
    if name not in JOBS:
        raise SettingsError(
            f"There is no scheduled job {name!r}; there are "
            f"{', '.join(JOBS)}. See: swiftbolt jobs list"
        )
    return JOBS[name]
