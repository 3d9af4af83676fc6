"""Check that every job killed at any moment ends as a clean run ends.

    .venv/bin/python scripts/check_faults.py [--kills 100] [--jobs train,build]

Runs ingest, build, validate, train, forecast, check-drift and update-weights on
the sample once and keeps what each began with and came to. Then it begins one
of them, kills something at a random moment (SIGKILL of Python, of the server or
of a worker process; the connection that holds the job's lock) and runs the same
command again. Afterwards every table must hold what it does after a clean run,
by count and checksum, every artifact on record must be there and no other, no
row of `ml.job_runs` may be `running`, and no process may be left.

Prints a line for each kill. The embedded server's home is thrown away.
"""

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2
from benchmarking import go_when_told, throwaway_settings
from end_state import State, differences, end_state

from python_ml.settings import PROJECT_ROOT, Settings
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import open_warehouse
from python_ml.warehouse.embedded import EmbeddedServer

AS_OF = "2012-06-29"
# In the order in which each finds what it needs.
JOBS = {
    "ingest": ("ingest", "sample"),
    "build": ("build",),
    "validate": ("validate",),
    "train": ("train", "--all", "--as-of", AS_OF, "--jobs", "2"),
    "forecast": ("forecast", "--replay-from", AS_OF),
    "check-drift": ("check-drift",),
    "update-weights": ("update-weights",),
}
VICTIMS = ("python", "server", "worker", "lock")
END_SECONDS = 120
ATTEMPTS = 20


@dataclass(frozen=True)
class Stage:
    """A job, what it begins with and what it comes to.

    Parameters
    ----------
    name : str
    before : str
        Name of the database, and of the folder of artifacts, it begins with.
    after : dict
        What the warehouse holds after a clean run.
    seconds : float
        That the clean run took.
    """

    name: str
    before: str
    after: State
    seconds: float


def main() -> int:
    """Parse, prepare, kill, print."""
    go_when_told()
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", default=",".join(JOBS))
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    n_sound = 0
    with throwaway_settings() as settings:
        stages = prepare(settings, arguments.jobs.split(","))
        for number in range(1, arguments.kills + 1):
            stage = stages[number % len(stages)]
            victim = VICTIMS[number // len(stages) % len(VICTIMS)]
            seconds = chance.uniform(0.05, 1.0) * stage.seconds
            faults = kill_and_finish(settings, stage, victim, seconds)
            n_sound += not faults
            print(
                f"{number}: {stage.name}, {victim} killed after "
                f"{seconds:.1f} s: {'; '.join(faults) or 'as a clean run'}",
                flush=True,
            )
    print(f"RESULT faults_ended_well {n_sound} of {arguments.kills}")
    return 0 if n_sound == arguments.kills else 1


def prepare(settings: Settings, chosen: Sequence[str]) -> list[Stage]:
    """Run every job once, clean, and keep what the chosen ones need."""
    open_warehouse(settings).close()
    stages = []
    for name in JOBS:
        if name in chosen:
            keep(settings, f"before_{name.replace('-', '_')}")
        began = time.monotonic()
        if start(settings, name).wait():
            raise SystemExit(f"A clean {name} failed.")
        seconds = time.monotonic() - began
        print(f"A clean {name} takes {seconds:.1f} s.", flush=True)
        if name in chosen:
            before = f"before_{name.replace('-', '_')}"
            stages.append(Stage(name, before, state(settings), seconds))
    return stages


def kill_and_finish(
    settings: Settings, stage: Stage, victim: str, seconds: float
) -> list[str]:
    """Kill amid a job, run it again and return what is wrong afterwards."""
    restore(settings, stage.before)
    process = start(settings, stage.name)
    time.sleep(seconds)
    kill(settings, process, victim)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return [f"it did not end in {END_SECONDS} s"]
    for _ in range(ATTEMPTS):
        if start(settings, stage.name).wait() == 0:
            return find_faults(settings, stage)
        # The server notices a moment later that the lock's holder is gone.
        time.sleep(0.5)
    return ["the same command failed afterwards"]


def kill(
    settings: Settings, process: "subprocess.Popen[bytes]", victim: str
) -> None:
    """Kill one of those that take part in a job."""
    if victim == "server":
        pid = EmbeddedServer(settings).status().pid
        if pid is not None:
            os.kill(pid, 9)
    elif victim == "lock":
        with contextlib.suppress(psycopg2.Error):
            execute(
                settings,
                "swiftbolt",
                "select pg_terminate_backend(pid) from pg_locks "
                "where locktype = 'advisory'",
            )
    else:
        with contextlib.suppress(psutil.NoSuchProcess):
            workers = [
                child
                for child in psutil.Process(process.pid).children()
                if "popen_loky" in " ".join(child.cmdline())
            ]
            chosen = workers[0] if victim == "worker" and workers else process
            chosen.kill()


def find_faults(settings: Settings, stage: Stage) -> list[str]:
    """What differs from a clean run, and what was left behind."""
    faults = differences(stage.after, state(settings))
    with open_warehouse(settings) as warehouse:
        running = read_frame(
            warehouse, "select job from {ml}.job_runs where status = 'running'"
        )
        faults += [f"{job} is still running" for job in running["job"]]
        on_record = read_frame(
            warehouse,
            "select artifact_path from {ml}.ensembles "
            "union all select artifact_path from {ml}.pooled_members",
        )["artifact_path"]
    folder = settings.artifacts_dir
    names = sorted(path.name for path in folder.glob("*"))
    expected = sorted(Path(path).name for path in on_record)
    if names != expected:
        faults.append(f"{len(names)} files for {len(expected)} on record")
    faults += [
        f"process {process.pid} is left" for process in processes(settings)
    ]
    return faults


def processes(settings: Settings) -> list[psutil.Process]:
    """Python processes that work in the home, after a moment to end."""
    deadline = time.monotonic() + 10
    while True:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if (
                    process.environ().get("SWIFTBOLT_HOME")
                    == str(settings.home)
                    and "python" in process.name()
                ):
                    found.append(process)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def start(settings: Settings, name: str) -> "subprocess.Popen[bytes]":
    """Start the command of a job."""
    return subprocess.Popen(
        [sys.executable, "-m", "python_ml.cli", *JOBS[name]],
        cwd=PROJECT_ROOT,
        env={**os.environ, "SWIFTBOLT_HOME": str(settings.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def state(settings: Settings) -> State:
    """What the warehouse holds."""
    with open_warehouse(settings) as warehouse:
        return end_state(warehouse)


def keep(settings: Settings, name: str) -> None:
    """Copy the database and the artifacts under a name."""
    execute(settings, "postgres", f"create database {name} template swiftbolt")
    _copy_artifacts(settings.artifacts_dir, settings.home / name)


def restore(settings: Settings, name: str) -> None:
    """Put the copies of that name back into their place."""
    execute(
        settings,
        "postgres",
        "drop database swiftbolt with (force)",
        f"create database swiftbolt template {name}",
    )
    _copy_artifacts(settings.home / name, settings.artifacts_dir)


def _copy_artifacts(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    if source.exists():
        shutil.copytree(source, target)


def execute(settings: Settings, database: str, *statements: str) -> None:
    """Run statements, each a transaction, in a session of its own."""
    parameters = EmbeddedServer(settings).start()
    with contextlib.closing(
        psycopg2.connect(
            host=parameters.host,
            port=parameters.port,
            user=parameters.user,
            password=parameters.password,
            dbname=database,
        )
    ) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


if __name__ == "__main__":
    sys.exit(main())
