"""What is on record of a backtest: its settings, and the steps it has done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import psutil
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from python_ml import schema
from python_ml.exceptions import SettingsError
from python_ml.operations.backtest.schedule import Schedule
from python_ml.warehouse.backtest_run import check_run_name
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import code_version, peak_memory_mb

RETRAIN = "retrain"
WEIGHTS = "weights"
FORECAST = "forecast"


@dataclass(frozen=True)
class Step:
    """Something that a backtest has done.

    Parameters
    ----------
    step_at : datetime
        What was known then decided it.
    step : {"retrain", "weights", "forecast"}
    n_done : int
        Series trained, weights moved or forecasts issued.
    reason : str
        Why, for people.
    processor_seconds : float
        That it took.
    until_at : datetime, optional
        Last close that was forecast.
    """

    step_at: datetime
    step: str
    n_done: int
    reason: str
    processor_seconds: float
    until_at: datetime | None = None


def begin_run(
    warehouse: Warehouse,
    name: str,
    schedule: Schedule,
    *,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
) -> bool:
    """Put a run on record, or find it there to go on with.

    Returns
    -------
    bool
        Whether it is finished already.

    Raises
    ------
    SettingsError
        If the name cannot be used, or is that of a run with other settings.
    """
    check_run_name(name)
    runs = schema.backtest_runs
    settings = {
        "policy": schedule.policy,
        "from_date": schedule.from_date,
        "to_date": schedule.to_date,
        "retrain": schedule.retrain,
        "weights": schedule.weights,
        "symbols": None if symbols is None else sorted(symbols),
        "timeframes": None if timeframes is None else sorted(timeframes),
    }
    with warehouse.begin() as connection:
        connection.execute(
            insert(runs)
            .values(
                run_name=name,
                status="begun",
                code_version=code_version(),
                **{
                    key: sa.null() if value is None else value
                    for key, value in settings.items()
                },
            )
            .on_conflict_do_nothing()
        )
        found = (
            connection.execute(sa.select(runs).where(runs.c.run_name == name))
            .mappings()
            .one()
        )
    differing = [key for key, value in settings.items() if found[key] != value]
    if differing:
        raise SettingsError(
            f"The backtest {name} is on record with "
            + ", ".join(
                f"{key} {found[key] or 'all'} instead of "
                f"{settings[key] or 'all'}"
                for key in differing
            )
            + ". Give the new one another --name."
        )
    return bool(found["status"] == "finished")


def finish_run(warehouse: Warehouse, name: str) -> None:
    """Put on record that nothing is left to do."""
    runs = schema.backtest_runs
    with warehouse.begin() as connection:
        connection.execute(
            runs.update()
            .where(runs.c.run_name == name, runs.c.status == "begun")
            .values(status="finished", finished_at=datetime.now(UTC))
        )


def read_steps(warehouse: Warehouse, name: str) -> pd.DataFrame:
    """Steps that are done, in order.

    Returns
    -------
    DataFrame of shape (n_steps, n_columns)
        `step_at`, `step`, `until_at`, `n_done`, `reason`,
        `processor_seconds`, `peak_memory_mb`.
    """
    return read_frame(
        warehouse,
        """
        select
            step_at, step, until_at, n_done, reason, processor_seconds,
            peak_memory_mb
        from {ml}.backtest_steps
        where run_name = :run_name
        order by step_at, created_at
        """,
        {"run_name": name},
    )


def write_step(
    connection: sa.Connection, name: str, step: Step, *, job_run_id: int
) -> None:
    """Put a step on record, in the caller's transaction."""
    connection.execute(
        schema.backtest_steps.insert().values(
            run_name=name,
            step_at=step.step_at,
            step=step.step,
            until_at=step.until_at,
            n_done=step.n_done,
            reason=step.reason,
            processor_seconds=step.processor_seconds,
            peak_memory_mb=peak_memory_mb(),
            job_run_id=job_run_id,
        )
    )


def processor_seconds() -> float:
    """Processor time of this process, its workers and those that have ended.

    The database server's is not among it.
    """
    process = psutil.Process()
    own = process.cpu_times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return float(total)
