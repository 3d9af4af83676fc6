"""Every command of the runbook and of the page on retraining runs."""

import datetime
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from python_ml import schema
from python_ml.operations.schedules.jobs import JOBS
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run
from tests.conftest import (
    run_command_process,
    run_swiftbolt,
    warehouse_environment,
)
from tests.forecast_market import close_of, deploy, make_ensemble

PAGES = ("runbook.md", "retraining.md")
# The page's symbols and day, and those of the market of the tests.
REPLACED = {
    "AAPL": "AAA",
    "IBM": "BBB",
    "2012-12-03": f"{close_of(-20):%Y-%m-%d}",
}
# What says that something is wrong, as it is here.
MAY_FAIL = ("swiftbolt doctor",)


def commands_of(page: str) -> list[str]:
    text = (PROJECT_ROOT / "docs" / page).read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def replaced(command: str, backups: Path) -> str:
    for name, value in REPLACED.items():
        command = command.replace(name, value)
    return command.replace("/backups", str(backups))


def leave_an_alert(warehouse: Warehouse) -> None:
    """The alert number 1 of the page: a job that failed."""
    with pytest.raises(ValueError), job_run(warehouse, "train", {}):  # noqa: PT011
        raise ValueError("no bars")
    run_swiftbolt(warehouse, "alerts", "check")


def do_jobs_of_the_schedule(warehouse: Warehouse) -> None:
    """So that none is due; what they do is long, and tried by `-m slow`."""
    with warehouse.begin() as connection:
        connection.execute(
            schema.job_runs.insert(),
            [
                {
                    "job": job,
                    "arguments": {},
                    "status": "succeeded",
                    "started_at": datetime.datetime.now(datetime.UTC),
                    "host": "here",
                    "pid": 1,
                    "code_version": "test",
                }
                for job in JOBS
            ],
        )


@pytest.fixture(scope="module")
def market(
    fresh_warehouse: Callable[..., Warehouse], market_database: str
) -> Iterator[Warehouse]:
    """A market whose series have been deployed twice, and an alert."""
    with fresh_warehouse(template=market_database) as made:
        for ticker in ("AAA", "BBB"):
            for session in (-120, -60):
                deploy(
                    made,
                    make_ensemble(made, ticker=ticker, as_of=close_of(session)),
                )
        leave_an_alert(made)
        do_jobs_of_the_schedule(made)
        yield made


@pytest.fixture(scope="module")
def second_home(fresh_warehouse: Callable[..., Warehouse]) -> Warehouse:
    """Where a command with a SWIFTBOLT_HOME of its own works: empty."""
    return fresh_warehouse(migrate=False)


def run(warehouse: Warehouse, words: list[str]):
    if words[0].startswith("scripts/"):
        job = words[0].removeprefix("scripts/")
        assert job in JOBS
        words = ["swiftbolt", "jobs", "run", job, *words[1:]]
    assert words[0] == "swiftbolt"
    if words[1:3] == ["db", "psql"]:
        # psql takes the place of the process.
        return run_command_process(warehouse_environment(warehouse), *words[1:])
    return run_swiftbolt(warehouse, *words[1:])


@pytest.mark.parametrize(
    "page",
    [
        PAGES[0],
        *(pytest.param(page, marks=pytest.mark.slow) for page in PAGES[1:]),
    ],
)
def test_every_command_of_the_page_runs_in_its_order(
    market, second_home, tmp_path, page
):
    commands = commands_of(page)
    assert len(commands) > 12
    for command in commands:
        words = shlex.split(replaced(command, tmp_path))
        warehouse = market
        if words[0].startswith("SWIFTBOLT_HOME="):
            warehouse, words = second_home, words[1:]
        ended = run(warehouse, words)
        allowed = (0, 1) if command in MAY_FAIL else (0,)
        assert ended.returncode in allowed, f"{command}\n{ended.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("job", list(JOBS))
def test_each_job_does_its_work_when_it_must(market, job):
    ended = run(market, [f"scripts/{job}", "--force", "--json"])
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["result"] is not None


def test_every_kind_of_alert_has_its_section():
    from python_ml.monitoring.alerts.kinds import KINDS

    page = (PROJECT_ROOT / "docs" / "runbook.md").read_text()
    sections = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert set(sections) == {kind.name for kind in KINDS}


def test_every_job_has_its_row():
    page = (PROJECT_ROOT / "docs" / "retraining.md").read_text()
    rows = re.findall(r"^\| `scripts/(\w+)`", page, re.MULTILINE)
    assert rows == list(JOBS)


def test_the_readme_leads_to_the_pages():
    readme = (PROJECT_ROOT / "README.md").read_text()
    for page in PAGES:
        assert f"(docs/{page})" in readme


def test_what_was_recorded_is_what_the_page_says(market):
    with market.begin() as connection:
        alert = connection.execute(
            schema.alerts.select().where(schema.alerts.c.alert_id == 1)
        ).one()
    assert (alert.kind, alert.state) == ("job_failed", "resolved")
