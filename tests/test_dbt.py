"""Our runner of dbt, on a project of three nodes."""

import logging
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from python_ml.exceptions import BuildError
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt

PROJECT = """
name: swiftbolt
profile: swiftbolt
"""
SCHEMA_TESTS = """
models:
  - name: upper
    columns:
      - name: n
        data_tests:
          - not_null
          - accepted_values:
              arguments: {values: [1, 2], quote: false}
"""


@pytest.fixture
def small(warehouse: Warehouse, tmp_path: Path) -> Warehouse:
    """A warehouse whose checkout holds a small dbt project."""
    project = tmp_path / "dbt_project"
    models = project / "models"
    models.mkdir(parents=True)
    (project / "dbt_project.yml").write_text(PROJECT)
    (models / "lower.sql").write_text("select 1 as n")
    (models / "upper.sql").write_text("select n from {{ ref('lower') }}")
    (models / "models.yml").write_text(SCHEMA_TESTS)
    shutil.copy(PROJECT_ROOT / "profiles.yml", tmp_path)
    return replace(
        warehouse, settings=replace(warehouse.settings, project_root=tmp_path)
    )


def model(warehouse: Warehouse, name: str) -> Path:
    return warehouse.settings.dbt_project_dir / "models" / f"{name}.sql"


def test_a_build_reports_what_ran(small):
    summary = run_dbt(small, ["build"])
    assert summary.command == "build"
    assert summary.n_nodes == 4
    assert summary.counts == {"success": 2, "pass": 2}
    assert summary.duration_seconds > 0


def test_a_failing_test_is_named_with_what_it_found(small):
    model(small, "lower").write_text("select 3 as n")
    with pytest.raises(BuildError) as caught:
        run_dbt(small, ["build"])
    message = str(caught.value)
    assert "dbt build failed: 1 of 4 nodes" in message
    assert "test accepted_values_upper_n__False__1__2: Got 1 result" in message
    assert str(small.settings.logs_dir / "dbt.log") in message
    assert "\n" not in message


def test_a_failing_dbt_model_is_named_with_the_databases_words(small):
    table = "{{ config(materialized='table') }} "
    model(small, "lower").write_text(f"{table} select 1 / 0 as n")
    with pytest.raises(
        BuildError,
        match=r"1 of 4 nodes: model lower: division by zero \(log",
    ):
        run_dbt(small, ["build"])


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ("select {{ no_such_macro() }}", ["build"], "no_such_macro"),
        ("select {{", ["build"], "Compilation Error"),
        ("select 1", ["buidl"], "No such command"),
        ("select 1", ["build", "--no-such-option"], "no-such-option"),
        ("select 1", ["build", "--select", "nothing"], "ran nothing"),
    ],
)
def test_what_cannot_run_is_an_error_of_one_line(
    small, change, arguments, message
):
    model(small, "lower").write_text(change)
    with pytest.raises(BuildError, match=message) as caught:
        run_dbt(small, arguments)
    assert "\n" not in str(caught.value)


def test_a_table_with_other_columns_is_built_anew_when_asked(small):
    config = "{{ config(materialized='incremental', on_schema_change='fail') }}"
    model(small, "lower").write_text(f"{config} select 1 as n")
    run_dbt(small, ["build"])
    model(small, "lower").write_text(f"{config} select 1 as n, 2 as m")
    with pytest.raises(
        BuildError, match=r"model lower: .*swiftbolt build --full-refresh"
    ):
        run_dbt(small, ["build"])
    assert run_dbt(small, ["build", "--full-refresh"]).counts["success"] == 2


def test_a_seed_with_other_columns_is_built_anew_when_asked(small):
    seed = small.settings.dbt_project_dir / "seeds" / "numbers.csv"
    seed.parent.mkdir()
    seed.write_text("n\n1\n")
    run_dbt(small, ["seed"])
    seed.write_text("n,m\n1,2\n")
    with pytest.raises(
        BuildError, match=r"seed numbers: .*swiftbolt build --full-refresh"
    ):
        run_dbt(small, ["seed"])
    assert run_dbt(small, ["seed", "--full-refresh"]).n_nodes == 1


def connections_of_dbt(warehouse: Warehouse) -> int:
    """Number of connections of dbt; those closed may take a moment to go."""
    for _ in range(100):
        with warehouse.begin() as connection:
            found = connection.exec_driver_sql(
                "select count(*) from pg_stat_activity where datname = "
                "current_database() and pid != pg_backend_pid() "
                "and application_name = 'dbt'"
            ).scalar_one()
        if not found:
            break
        time.sleep(0.05)
    return int(found)


@pytest.mark.parametrize("sql", ["select 1 as n", "select oops"])
def test_nothing_of_a_run_stays_behind(small, sql, capfd, monkeypatch):
    monkeypatch.setenv("PGHOST", "the caller's own")
    model(small, "lower").write_text(sql)

    def traces() -> tuple[object, ...]:
        loggers = [logging.root, *logging.root.manager.loggerDict.values()]
        handlers = {
            handler
            for logger in loggers
            for handler in getattr(logger, "handlers", [])
            if not isinstance(handler, logging.NullHandler)
        }
        return dict(os.environ), os.getcwd(), handlers

    before = traces()
    if "oops" in sql:
        with pytest.raises(BuildError):
            run_dbt(small, ["build"])
    else:
        run_dbt(small, ["build"])
    assert traces() == before
    assert capfd.readouterr().out == ""
    assert not connections_of_dbt(small)


def test_files_are_written_below_home_only(small):
    def files() -> set[Path]:
        return set(small.settings.project_root.rglob("*"))

    before = files()
    run_dbt(small, ["build", "--write-json"])
    assert files() == before
    assert (small.settings.home / "dbt_target" / "manifest.json").exists()
    assert (small.settings.logs_dir / "dbt.log").exists()


def test_a_list_is_returned_as_it_is(small):
    summary = run_dbt(small, ["list", "--resource-type", "model"])
    assert sorted(summary.output) == ["swiftbolt.lower", "swiftbolt.upper"]
