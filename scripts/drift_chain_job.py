"""One job of the schedule by the clock of a day, for the check of the chain.

    .venv/bin/python scripts/drift_chain_job.py JOB DATE FOLDER

The job is that of `swiftbolt jobs run`, with ten at night of the day for the
real time; a daily job loads the files of bars in the folder up to that day. The
ledger cannot be told another time than the server's, so that forecasts are
dated back when they are written, as if they had been issued in time and by no
job: an audit knows when jobs ran. A request is dated by the server, too, so
that the job that serves it is forced.
"""

import datetime
import sys
from pathlib import Path

import sqlalchemy as sa

from python_ml.console.logs import configure_logging
from python_ml.forecasting.issue import forecast
from python_ml.forecasting.summary import ForecastSummary
from python_ml.ingestion.load import ingest
from python_ml.ingestion.readers.bar_file import BarFile
from python_ml.operations import daily
from python_ml.operations.schedules.run import run_scheduled
from python_ml.settings import load_settings
from python_ml.warehouse.connection import Warehouse, open_warehouse
from python_ml.warehouse.ledgers import rewriting

AFTER_CLOSE = datetime.timedelta(hours=22)
IN_TIME = """
    update {ml}.forecasts
    set
        is_late = false,
        issued_at = closed_at + interval '1 hour',
        written_at = closed_at + interval '1 hour',
        job_run_id = null
    where run_kind = 'live' and is_late
"""


def do_job(name: str, day: str, folder: Path) -> None:
    """Do one job of the schedule by the clock of a day."""
    configure_logging()
    now = datetime.datetime.fromisoformat(f"{day}T00:00+00:00") + AFTER_CLOSE
    with open_warehouse(load_settings()) as warehouse:

        def load() -> None:
            files = sorted(p for p in folder.glob("2*") if p.stem <= day)
            ingest(warehouse, BarFile(files, "the chain's bars"), now=now)

        daily.forecast = forecast_in_time
        run_scheduled(
            warehouse,
            name,
            is_forced=name == "emergency_retrain",
            load=load if name == "daily_run" else None,
            now=now,
        )


def forecast_in_time(warehouse: Warehouse) -> ForecastSummary:
    """Issue what is due and date it back to an hour after its close."""
    summary = forecast(warehouse)
    with rewriting(warehouse) as connection:
        connection.execute(sa.text(warehouse.sql(IN_TIME)))
    return summary


if __name__ == "__main__":
    name, day, folder = sys.argv[1:]
    do_job(name, day, Path(folder))
