"""The steps of a backtest, each by the job that does it live."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pandas as pd

from python_ml import schema
from python_ml.exceptions import (
    NoEnsembleError,
    NotEnoughDataError,
    TrainingError,
)
from python_ml.forecasting.issue import score_due, write_down
from python_ml.forecasting.trust import read_rules
from python_ml.operations.backtest.drifting import (
    DriftWatch,
    first_recommendation,
)
from python_ml.operations.backtest.record import (
    FORECAST,
    RETRAIN,
    WEIGHTS,
    Step,
    processor_seconds,
    write_step,
)
from python_ml.registry.deployments import live_versions
from python_ml.training.train import train
from python_ml.training.weight_updates import update_weights
from python_ml.warehouse.backtest_run import BACKTEST, BacktestRun
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse


@dataclass(frozen=True)
class Backtest:
    """A backtest in progress.

    Parameters
    ----------
    warehouse : Warehouse
        As it is live.
    name : str
        Of the run.
    series : DataFrame
        What is forecast, as `due.read_series` returns it.
    symbols, timeframes : sequence of str or None
        What is trained, None for all.
    job_run_id : int
    n_jobs : int or None
        Processes that fit, None for one per core.
    """

    warehouse: Warehouse
    name: str
    series: pd.DataFrame
    symbols: Sequence[str] | None
    timeframes: Sequence[str] | None
    job_run_id: int
    n_jobs: int | None

    def at(self, time: datetime) -> Warehouse:
        """The warehouse as the run sees it at a time of its history."""
        return self.warehouse.during(BacktestRun(self.name, time))

    def record(self, step: Step) -> None:
        """Put a step on record that keeps its own results."""
        with self.warehouse.begin() as connection:
            write_step(connection, self.name, step, job_run_id=self.job_run_id)


def retrain(
    backtest: Backtest,
    at: datetime,
    *,
    reason: str,
    is_first: bool = False,
    drifting: pd.DataFrame | None = None,
) -> None:
    """Train as of a time and decide what takes over.

    Where nothing can be trained what is deployed goes on, as it would live;
    of the first training there is nothing to go on with.

    Parameters
    ----------
    backtest : Backtest
    at : datetime
    reason : str
        For the record.
    is_first : bool, default=False
        Whether nothing is deployed yet.
    drifting : DataFrame, optional
        `ticker` and `timeframe` of the only series to be trained; by default
        all of the run.

    Raises
    ------
    NotEnoughDataError, TrainingError
        If it is the first and nothing can be trained.
    """
    began = processor_seconds()
    chosen: list[tuple[Sequence[str] | None, Sequence[str] | None]] = [
        (backtest.symbols, backtest.timeframes)
    ]
    if drifting is not None:
        chosen = [
            (rows["ticker"].tolist(), [str(timeframe)])
            for timeframe, rows in drifting.groupby("timeframe", sort=True)
        ]
    n_trained = 0
    for symbols, timeframes in chosen:
        try:
            summary = train(
                backtest.at(at),
                symbols=symbols,
                timeframes=timeframes,
                as_of=at,
                trigger="backtest",
                n_jobs=backtest.n_jobs,
            )
        except (NotEnoughDataError, TrainingError) as error:
            if is_first:
                raise
            reason += f"; not trained: {error}"
            continue
        succeeded = summary.results[summary.results["status"] == "succeeded"]
        keys = succeeded[["symbol_id", "timeframe"]]
        n_trained += len(keys.drop_duplicates())
    taken = processor_seconds() - began
    backtest.record(Step(at, RETRAIN, n_trained, reason, taken))


def move_weights(backtest: Backtest, at: datetime) -> None:
    """Fit weights anew on what has settled by a time."""
    began = processor_seconds()
    reason = "as planned"
    try:
        summary = update_weights(
            backtest.at(at),
            symbols=backtest.symbols,
            timeframes=backtest.timeframes,
        )
        n_moved = summary.count("updated")
    except NoEnsembleError:
        n_moved, reason = 0, "nothing was deployed yet"
    taken = processor_seconds() - began
    backtest.record(Step(at, WEIGHTS, n_moved, reason, taken))


def forecast_span(
    backtest: Backtest,
    at: datetime,
    until: datetime,
    *,
    watch: DriftWatch | None = None,
) -> datetime:
    """Forecast every bar that closes after a time and up to another, at once.

    Parameters
    ----------
    backtest : Backtest
    at, until : datetime
        Nothing is decided in between.
    watch : DriftWatch, optional
        Ends the span at the first day on which drift asks for a retraining.

    Returns
    -------
    datetime
        Where it ended.
    """
    began = processor_seconds()
    # Decided at `at`; what settles by `until` is known to the watch alone.
    seen = backtest.at(until)
    rows, states, errors = score_due(
        seen, backtest.series, run_kind=BACKTEST, replay_from=at, until=until
    )
    if errors:
        raise errors[0]
    if watch is not None and not rows.empty:
        found = first_recommendation(seen, watch, rows, at=at)
        if found is not None and found < until:
            until = found
            rows = rows[rows["closed_at"] <= until]
    n_issued = 0
    with backtest.warehouse.begin() as connection:
        if not rows.empty:
            _, n_issued = write_down(
                connection,
                rows,
                states,
                rules=read_rules(backtest.warehouse),
                run_kind=BACKTEST,
                job_run_id=backtest.job_run_id,
            )
        step = Step(at, FORECAST, n_issued, "as planned", 0.0, until)
        write_step(
            connection,
            backtest.name,
            replace(step, processor_seconds=processor_seconds() - began),
            job_run_id=backtest.job_run_id,
        )
    return until


def drop_superseded(backtest: Backtest, at: datetime) -> int:
    """Remove artifacts of the run that nothing after a time will read.

    Their rows stay, and `ml.artifact_removals` says that the files are gone.

    Returns
    -------
    int
        Number of files removed.
    """
    seen = backtest.at(at)
    live = set(live_versions(seen)["version_id"])
    versions = read_frame(
        seen,
        """
        select
            ensembles.version_id, ensembles.artifact_path, ensembles.sha256
        from {ml}.ensembles as ensembles
        where
            ensembles.run_name = :run_name
            and not exists (
                select 1
                from {ml}.artifact_removals as removals
                where removals.artifact_path = ensembles.artifact_path
            )
        """,
        {"run_name": backtest.name},
    )
    gone = versions[~versions["version_id"].isin(live)]
    if gone.empty:
        return 0
    with backtest.warehouse.begin() as connection:
        connection.execute(
            schema.artifact_removals.insert(),
            [
                {
                    **{str(name): value for name, value in row.items()},
                    "reason": f"the backtest {backtest.name} is past it",
                    "job_run_id": backtest.job_run_id,
                    "removed_at": pd.Timestamp.now("UTC").to_pydatetime(),
                }
                for row in gone.to_dict("records")
            ],
        )
    for path in gone["artifact_path"]:
        (backtest.warehouse.settings.home / path).unlink(missing_ok=True)
    return len(gone)
