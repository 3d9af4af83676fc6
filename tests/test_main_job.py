"""The main job as a user meets it: the commands of the demo, on real bars."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse, open_warehouse
from python_ml.warehouse.embedded import EmbeddedServer
from tests.conftest import (
    clean_environment,
    embedded_settings,
    run_command_process,
    run_swiftbolt,
    warehouse_environment,
)

ANALYST_QUERY = """
select date, ticker, timeframe, accuracy, baseline_accuracy, drift_margin,
       drift_detected, n_predictions
from {monitoring}.drift_monitoring
where ticker = 'AAPL' and timeframe = 'd1'
order by date desc
limit 30
"""
AS_OF = "2012-06-29"


@pytest.fixture(scope="module")
def demo(
    sample_database: str, fresh_warehouse: Callable[..., Warehouse]
) -> Iterator[Warehouse]:
    """The built sample after the demo's remaining commands."""
    with fresh_warehouse(template=sample_database) as warehouse:
        for command in (
            ("validate",),
            ("train", "--all", "--as-of", AS_OF),
            ("forecast", "--replay-from", AS_OF),
            ("check-drift",),
        ):
            result = run_swiftbolt(warehouse, *command)
            assert result.returncode == 0, result.stderr
        yield warehouse


def count(warehouse: Warehouse, relation: str) -> int:
    found = read_frame(warehouse, f"select count(*) as n from {relation}")
    return int(found["n"].iloc[0])


def test_the_demo_ends_with_a_forecast_for_every_series_and_horizon(
    demo: Warehouse,
) -> None:
    latest = read_frame(
        demo,
        "select ticker, timeframe, horizon from {forecasting}.latest_forecasts",
    )
    assert len(latest) == 24
    assert len(latest.drop_duplicates()) == 24
    assert count(demo, "{monitoring}.drift_monitoring") >= 600


def test_the_analysts_query_runs_as_it_stands(demo: Warehouse) -> None:
    rows = read_frame(demo, ANALYST_QUERY)
    assert len(rows) == 30
    assert rows["date"].is_monotonic_decreasing
    assert rows["accuracy"].between(0, 1).all()
    margin = rows["accuracy"] - rows["baseline_accuracy"]
    assert (margin - rows["drift_margin"]).abs().max() < 1e-9


def test_a_second_round_adds_nothing(demo: Warehouse) -> None:
    tables = ("ensembles", "deployments", "forecasts", "training_cuts")
    before = {table: count(demo, f"{{ml}}.{table}") for table in tables}
    outcomes = count(demo, "{forecasting}.forecast_outcomes")
    for command in (
        ("train", "--all", "--as-of", AS_OF),
        ("forecast", "--replay-from", AS_OF),
        ("check-drift",),
    ):
        result = run_swiftbolt(demo, *command)
        assert result.returncode == 0, result.stderr
    assert before == {table: count(demo, f"{{ml}}.{table}") for table in tables}
    assert outcomes == count(demo, "{forecasting}.forecast_outcomes")


def test_run_issues_the_live_forecasts_that_are_due(demo: Warehouse) -> None:
    result = run_command_process(warehouse_environment(demo), "run")
    assert result.returncode == 0, result.stderr
    live = read_frame(
        demo, "select * from {ml}.forecasts where run_kind = 'live'"
    )
    assert len(live) == 24
    # The sample ends in 2013: what is issued now for then counts as late.
    assert live["is_late"].all()
    assert count(demo, "{ml}.deployments") == 8


def test_every_audit_is_empty_on_real_bars(demo: Warehouse) -> None:
    audits = read_frame(
        demo,
        "select table_name from information_schema.views "
        "where table_schema = 'leakage_audit'",
    )["table_name"]
    assert len(audits) >= 7
    for audit in audits:
        assert count(demo, f"{{leakage_audit}}.{audit}") == 0, audit


@pytest.fixture
def own_server(
    built_sample: Warehouse, throwaway_home: Callable[..., Path]
) -> Iterator[Warehouse]:
    """The built sample copied to an embedded server that may be killed."""
    settings = embedded_settings(throwaway_home("to kill"))
    with open_warehouse(settings) as warehouse:
        copy_database(built_sample, warehouse)
    yield open_warehouse(settings)
    EmbeddedServer(settings).stop()


def copy_database(source: Warehouse, target: Warehouse) -> None:
    from python_ml.warehouse.embedded import wheel_package

    programs = wheel_package() / "pginstall" / "bin"
    dump = subprocess.run(
        [programs / "pg_dump", "--clean", "--if-exists"],
        env=os.environ | source.parameters.environment(),
        capture_output=True,
        check=True,
    )
    subprocess.run(
        [programs / "psql", "--quiet", "--set", "ON_ERROR_STOP=1"],
        env=os.environ | target.parameters.environment(),
        input=dump.stdout,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def test_a_server_killed_during_training_costs_nothing_but_time(
    own_server: Warehouse,
) -> None:
    settings = own_server.settings
    environment = clean_environment() | {"SWIFTBOLT_HOME": str(settings.home)}
    command = [
        *(sys.executable, "-m", "python_ml.cli"),
        *("train", "--all", "--as-of", AS_OF),
    ]
    training = subprocess.Popen(
        command,
        cwd=PROJECT_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Let it store some of the eight series, not all.
    deadline = time.monotonic() + 120
    while count(own_server, "{ml}.ensembles") < 1:
        assert training.poll() is None, training.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pid = EmbeddedServer(settings).status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _, errors = training.communicate(timeout=120)
    assert training.returncode == 1, errors
    last_line = errors.strip().splitlines()[-1]
    assert last_line.startswith("Error: ")
    assert "again" in last_line
    assert "Traceback" not in errors

    again = subprocess.run(
        command,
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr
    with open_warehouse(settings) as warehouse:
        versions = read_frame(
            warehouse,
            "select symbol_id, timeframe, artifact_path from {ml}.ensembles",
        )
        runs = read_frame(
            warehouse,
            "select symbol_id, timeframe, horizon, status "
            "from {ml}.training_runs",
        )
        pooled = read_frame(
            warehouse, "select artifact_path from {ml}.pooled_members"
        )
        deployed = read_frame(
            warehouse, "select symbol_id, timeframe from {ml}.deployments"
        )
        jobs = read_frame(
            warehouse,
            "select status from {ml}.job_runs where job = 'train' "
            "order by job_run_id",
        )
    assert_one_each(versions, ["symbol_id", "timeframe"], 8)
    assert_one_each(deployed, ["symbol_id", "timeframe"], 8)
    assert_one_each(runs, ["symbol_id", "timeframe", "horizon"], 24)
    assert (runs["status"] == "succeeded").all()
    assert jobs["status"].tolist() == ["abandoned", "succeeded"]
    stored = {file.name for file in settings.artifacts_dir.glob("*.joblib")}
    assert stored == {
        Path(path).name
        for rows in (versions, pooled)
        for path in rows["artifact_path"]
    }


def assert_one_each(frame: pd.DataFrame, key: list[str], n: int) -> None:
    assert len(frame) == n
    assert len(frame[key].drop_duplicates()) == n
