"""What starts jobs: units, timers, crontab, workflows and Dagster's example."""

import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from python_ml.operations.schedules.jobs import JOBS
from python_ml.settings import PROJECT_ROOT

DEPLOY = PROJECT_ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
WORKFLOWS = sorted((PROJECT_ROOT / ".github" / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent


def read_unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(path)
    return parser


def load_workflow(path: Path) -> dict:
    loaded = yaml.safe_load(path.read_text())
    # YAML 1.1 reads `on` as true.
    loaded["on"] = loaded.pop(True)
    return loaded


def commands_of(text: str) -> list[str]:
    return re.findall(r"/opt/swiftbolt/(scripts/[%\w]+)", text)


@pytest.mark.parametrize("job", list(JOBS))
def test_each_job_has_a_timer_that_catches_up(job):
    timer = read_unit(DEPLOY / "systemd" / f"swiftbolt-{job}.timer")
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Timer"]["Unit"] == f"swiftbolt@{job}.service"
    assert os.access(PROJECT_ROOT / "scripts" / job, os.X_OK)


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd"
)
def test_systemd_reads_every_unit_and_time(tmp_path):
    """With the checkout's place filled in by one that is there."""
    for unit in UNITS:
        text = unit.read_text().replace(
            "/opt/swiftbolt/.venv/bin/swiftbolt", "/bin/true"
        )
        text = text.replace("/opt/swiftbolt/scripts/%i", "/bin/true")
        (tmp_path / unit.name).write_text(
            text.replace("/opt/swiftbolt", str(tmp_path))
        )
    ended = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
    )
    ours = [line for line in ended.stderr.splitlines() if "swiftbolt" in line]
    assert ours == [], ended.stderr


def test_no_unit_holds_a_secret_and_every_job_has_a_limit():
    assert not [unit for unit in UNITS if "://" in unit.read_text()]
    for name in ("swiftbolt@.service", "swiftbolt-alerts.service"):
        service = read_unit(DEPLOY / "systemd" / name)["Service"]
        assert service["EnvironmentFile"] == "-/etc/swiftbolt/environment"
        assert service["NoNewPrivileges"] == "yes"
        assert "TimeoutStartSec" in service


def test_the_crontab_starts_every_job():
    started = commands_of((DEPLOY / "crontab").read_text())
    assert started == [f"scripts/{job}" for job in JOBS]


def test_workflows_are_as_github_reads_them():
    ended = subprocess.run(
        [
            str(BIN / "check-jsonschema"),
            "--builtin-schema",
            "vendor.github-workflows",
            *map(str, WORKFLOWS),
        ],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout


def test_an_audit_of_the_workflows_finds_nothing():
    """But for a matter of style, a newer way to name files of one's own."""
    ended = subprocess.run(
        [
            str(BIN / "zizmor"),
            "--offline",
            "--no-progress",
            "--min-severity=medium",
            *map(str, WORKFLOWS),
        ],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_little_and_ends(path):
    workflow = load_workflow(path)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        if "uses" not in job:
            assert job["timeout-minutes"]
        for step in job.get("steps", ()):
            if "uses" in step:
                assert re.fullmatch(
                    r"actions/[\w-]+@[0-9a-f]{40}", step["uses"]
                )
    if "workflow_call" not in workflow["on"]:
        assert workflow["concurrency"]["group"]


@pytest.mark.parametrize(
    ("name", "job"),
    [
        ("daily", "daily_run"),
        ("weekly", "weekly_weights"),
        ("monthly", "monthly_retrain"),
    ],
)
def test_a_scheduled_workflow_runs_its_job_one_at_a_time(name, job):
    workflow = load_workflow(
        PROJECT_ROOT / ".github" / "workflows" / f"{name}.yml"
    )
    assert workflow["on"]["schedule"]
    assert workflow["jobs"]["run"]["with"]["job"] == job
    # Running jobs are not cancelled half-way by the next.
    assert workflow["concurrency"] == {
        "group": "swiftbolt-jobs",
        "cancel-in-progress": False,
    }


def test_ci_runs_what_a_developer_runs():
    steps = load_workflow(PROJECT_ROOT / ".github" / "workflows" / "ci.yml")[
        "jobs"
    ]["test"]["steps"]
    assert steps[-1]["run"] == ".ci/run"


def test_dagster_has_a_schedule_for_every_job():
    pytest.importorskip("dagster")
    path = DEPLOY / "dagster_example.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(module.jobs) == set(JOBS)
    repository = module.definitions.get_repository_def()
    assert len(repository.schedule_defs) == len(JOBS)


def test_the_example_names_every_job_also_without_dagster():
    text = (DEPLOY / "dagster_example.py").read_text()
    compile(text, "dagster_example.py", "exec")
    assert re.findall(r'^    "(\w+)": "[\d*]', text, re.MULTILINE) == list(JOBS)
