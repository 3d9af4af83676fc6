"""A warehouse for the pages, the pages served, and a browser to read them."""

import contextlib
import datetime
import shutil
import socket
import threading
import time
from collections.abc import Iterator

import sqlalchemy as sa
import uvicorn

from python_ml.forecasting.issue import forecast
from python_ml.monitoring.drift import check_drift
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.ledgers import rewriting
from python_ml.web.server import make_app
from tests.forecast_market import TICKERS, close_of, deploy, make_ensemble

NOW = datetime.datetime(2020, 8, 12, 12, tzinfo=datetime.UTC)
# Names that would do harm where a page took them for markup.
HOSTILE = '"><img src=x onerror=alert(1)>'
HOSTILE_SCRIPT = "</script><script>alert(2)</script>"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def fill(warehouse: Warehouse) -> None:
    """Deploy, replay and settle on the market of `forecast_market`."""
    for ticker in TICKERS:
        for timeframe in ("d1", "w1"):
            deploy(
                warehouse,
                make_ensemble(
                    warehouse,
                    ticker=ticker,
                    timeframe=timeframe,
                    as_of=close_of(-60),
                ),
            )
    forecast(warehouse, replay_from=close_of(-60).date())
    check_drift(warehouse)


def make_hostile(warehouse: Warehouse) -> None:
    """Put markup wherever a name, a reason or a message can stand."""
    statements = (
        ("update raw.symbols set ticker = :name where ticker = 'AAA'", HOSTILE),
        (
            "update features.bars set ticker = :name where ticker = 'AAA'",
            HOSTILE,
        ),
        (
            "update forecasting.forecast_outcomes set ticker = :name "
            "where ticker = 'AAA'",
            HOSTILE,
        ),
        ("update ml.deployments set reason = :name", HOSTILE_SCRIPT),
        (
            "update ml.job_runs set error_message = :name, "
            "counts = jsonb_build_object(cast(:name as text), 1)",
            HOSTILE_SCRIPT,
        ),
        ("update ml.drift_checks set recommendation = :name", HOSTILE),
        (
            "insert into raw.rejected_bars (batch_source, ticker, timeframe, "
            "reason, source_row, row_hash, rejected_at) values (:name, :name, "
            "'d1', :name, '{}', 'x', now())",
            HOSTILE,
        ),
        (
            "insert into ml.quarantined_series (symbol_id, timeframe, source, "
            "reason, details, quarantined_at) select symbol_id, 'd1', :name, "
            ":name, :name, now() from raw.symbols",
            HOSTILE,
        ),
        (
            "insert into ml.validation_results (validated_at, suite, dataset, "
            "expectation, is_success, details, job_run_id) select now(), "
            ":name, :name, :name, false, '{}', max(job_run_id) "
            "from ml.job_runs",
            HOSTILE_SCRIPT,
        ),
    )
    with rewriting(warehouse) as connection:
        for statement, name in statements:
            connection.execute(sa.text(statement), {"name": name})


@contextlib.contextmanager
def served(warehouse: Warehouse) -> Iterator[str]:
    """Address at which a real server shows the pages of a warehouse."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(
                make_app(warehouse, clock=lambda: NOW),
                log_level="error",
                access_log=False,
            )
        )
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listening]}, daemon=True
        )
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(10)


def browser_path() -> str:
    """Chromium of this machine.

    Raises
    ------
    FileNotFoundError
        If there is none, with the command that installs it.
    """
    for name in BROWSERS:
        if (found := shutil.which(name)) is not None:
            return found
    raise FileNotFoundError(
        "The pages are tried in a real browser and none is here. Install it "
        "with: sudo apt-get install chromium"
    )
