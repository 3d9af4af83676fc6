"""What became of each series, as rows for the record and for people."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.examples.series import Series
from python_ml.training.run import TrainingRun

logger = get_logger(__name__)

# Columns of `ml.training_runs`, with `ticker` and `outcome`.
ResultRow = dict[str, Any]


def record_failures(
    run: TrainingRun,
    messages: Mapping[Series, str],
    *,
    as_ofs: Mapping[str, datetime],
    horizons: Mapping[tuple[str, str], Sequence[str]],
    cut_id: int | None = None,
) -> list[ResultRow]:
    """Put series that cannot be trained on record, at once.

    Parameters
    ----------
    run : TrainingRun
    messages : mapping of Series to str
        Why, for people.
    as_ofs : mapping of str to datetime
        As-of time of each calendar.
    horizons : mapping of (str, str) to sequence of str
        By calendar and timeframe.
    cut_id : int, optional
        Of the cut, where there is one.
    """
    results = []
    for series, message in messages.items():
        log_event(
            logger,
            "series_failed",
            ticker=series.ticker,
            timeframe=series.timeframe,
            reason=message,
        )
        results += [
            result_row(
                series,
                "failed",
                run_row(
                    run,
                    series,
                    horizon,
                    as_ofs[series.calendar],
                    cut_id=cut_id,
                    status="failed",
                    error_message=message,
                ),
            )
            for horizon in horizons.get((series.calendar, series.timeframe), ())
        ]
    if results:
        columns = schema.training_runs.c.keys()
        with run.warehouse.begin() as connection:
            connection.execute(
                schema.training_runs.insert(),
                [
                    {name: row[name] for name in columns if name in row}
                    for row in results
                ],
            )
    return results


def run_row(
    run: TrainingRun,
    series: Series,
    horizon: str,
    as_of: datetime,
    **values: Any,
) -> dict[str, Any]:
    """Row of `ml.training_runs` of a series and horizon."""
    return run.recorder.run_row(
        symbol_id=series.symbol_id,
        timeframe=series.timeframe,
        horizon=horizon,
        as_of=as_of,
        trigger=run.trigger,
        **values,
    )


def result_row(
    series: Series, outcome: str, run: Mapping[str, Any]
) -> ResultRow:
    """What became of a series and horizon."""
    return {
        "ticker": series.ticker,
        "outcome": outcome,
        "error_message": None,
        **run,
    }


def read_up_to_date(
    run: TrainingRun, version_ids: Sequence[str]
) -> list[ResultRow]:
    """What is on record of versions that need no training."""
    if not version_ids:
        return []
    runs = schema.training_runs
    with run.warehouse.begin() as connection:
        rows = (
            connection.execute(
                sa.select(schema.symbols.c.ticker, runs)
                .join(
                    schema.symbols,
                    schema.symbols.c.symbol_id == runs.c.symbol_id,
                )
                .where(runs.c.version_id.in_(version_ids))
                .order_by(schema.symbols.c.ticker, runs.c.training_run_id)
            )
            .mappings()
            .all()
        )
    return [{**row, "outcome": "up to date"} for row in rows]
