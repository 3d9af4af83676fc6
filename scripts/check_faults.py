"""Check that every job killed at any moment ends as a clean run ends.

    .venv/bin/python scripts/check_faults.py [--kills 100] [--jobs train,build]
        [--victims python,worker]

Runs ingest, build, validate, train, forecast, check-drift and update-weights on
the sample once and keeps what each began with and came to. Then it begins one
of them, kills something at a random moment (SIGKILL of Python, of the server or
of a worker process; the connection that holds the job's lock) and runs the same
command again. Afterwards every table must hold what it does after a clean run,
by count and checksum, every artifact on record must be there and no other, no
row of `ml.job_runs` may be `running`, and no process may be left.

A moment at which there is nothing to kill, because the job has ended or has no
lock or worker any more, is no kill: another is tried. Only training shares the
four series of the sample among workers, so that all kills of workers are its.

Prints a line for each kill and how many there were, by job and victim. The
embedded server's home is thrown away.
"""

import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
WITH_WORKERS = ("train",)
END_SECONDS = 120
ATTEMPTS = 20
# Between two looks for a victim that is not there yet.
LOOK_SECONDS = 0.05
MISSES_IN_A_ROW = 20

# Sessions that hold the lock of a job that runs.
LOCK_HOLDERS = """
    select locks.pid
    from pg_locks as locks
    inner join ml.job_runs as runs
        on (cast(cast(locks.classid as bigint) as bit(64)) << 32
            | cast(cast(locks.objid as bigint) as bit(64)))
        = cast(hashtextextended('swiftbolt job ' || runs.job, 0) as bit(64))
    where
        locks.locktype = 'advisory'
        and locks.objsubid = 1
        and locks.granted
        and runs.status = 'running'
"""


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
    parser.add_argument("--victims", default=",".join(VICTIMS))
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    ended_well: dict[tuple[str, str], list[bool]] = {}
    with throwaway_settings() as settings:
        stages = prepare(settings, arguments.jobs.split(","))
        plan = itertools.islice(
            kills(stages, arguments.victims.split(",")), arguments.kills
        )
        for number, (stage, victim) in enumerate(plan, start=1):
            seconds, faults = kill_and_finish(settings, stage, victim, chance)
            ended_well.setdefault((stage.name, victim), []).append(not faults)
            print(
                f"{number}: {stage.name}, {victim} killed after "
                f"{seconds:.1f} s: {'; '.join(faults) or 'as a clean run'}",
                flush=True,
            )
    print(table(ended_well))
    n_sound = sum(map(sum, ended_well.values()))
    print(f"RESULT faults_ended_well {n_sound} of {arguments.kills}")
    return 0 if n_sound == arguments.kills else 1


def kills(
    stages: Sequence[Stage], chosen: Sequence[str] = VICTIMS
) -> Iterator[tuple[Stage, str]]:
    """What to kill, for ever: each victim in turn, each amid its next job."""
    victims = {}
    for victim in chosen:
        able = [
            stage
            for stage in stages
            if victim != "worker" or stage.name in WITH_WORKERS
        ]
        if able:
            victims[victim] = itertools.cycle(able)
    for victim in itertools.cycle(victims):
        yield next(victims[victim]), victim


def table(ended_well: dict[tuple[str, str], list[bool]]) -> str:
    """How many kills there were and how many ended well, by job and victim."""
    lines = [f"{'':<16}" + "".join(f"{victim:>12}" for victim in VICTIMS)]
    for job in JOBS:
        found = [ended_well.get((job, victim), []) for victim in VICTIMS]
        if any(found):
            cells = [f"{sum(each)} of {len(each)}" for each in found]
            lines.append(f"{job:<16}" + "".join(f"{it:>12}" for it in cells))
    return "\n".join(lines)


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
    settings: Settings, stage: Stage, victim: str, chance: random.Random
) -> tuple[float, list[str]]:
    """Kill amid a job and run it again.

    Returns
    -------
    seconds : float
        After which it was killed.
    faults : list of str
        What is wrong afterwards.
    """
    for _ in range(MISSES_IN_A_ROW):
        restore(settings, stage.before)
        began = time.monotonic()
        process = start(settings, stage.name)
        is_struck = strike(settings, stage, process, victim, chance)
        seconds = time.monotonic() - began
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return seconds, [f"it did not end in {END_SECONDS} s"]
        if is_struck:
            break
    else:
        return seconds, [f"there was no {victim} in {MISSES_IN_A_ROW} runs"]
    for _ in range(ATTEMPTS):
        if start(settings, stage.name).wait() == 0:
            return seconds, find_faults(settings, stage)
        # The server notices a moment later that the lock's holder is gone.
        time.sleep(0.5)
    return seconds, ["the same command failed afterwards"]


def strike(
    settings: Settings,
    stage: Stage,
    process: "subprocess.Popen[bytes]",
    victim: str,
    chance: random.Random,
) -> bool:
    """Kill one of those that take part in a job; False if it was not there.

    The moment is any between the first sight of the victim and the time at
    which the job should end.
    """
    began = time.monotonic()
    while not (found := find_victims(settings, process, victim)):
        if process.poll() is not None:
            return False
        time.sleep(LOOK_SECONDS)
    left = max(stage.seconds - (time.monotonic() - began), 0.0)
    time.sleep(chance.uniform(0, left))
    found = find_victims(settings, process, victim)
    if not found or process.poll() is not None:
        return False
    if victim == "lock":
        return any(
            execute(
                settings,
                "swiftbolt",
                f"select pg_terminate_backend(pid) from ({LOCK_HOLDERS}) as _",
            )
        )
    try:
        os.kill(chance.choice(found), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def find_victims(
    settings: Settings, process: "subprocess.Popen[bytes]", victim: str
) -> list[int]:
    """Processes, or for the lock sessions of the server, to choose from."""
    if victim == "python":
        return [process.pid]
    if victim == "server":
        pid = EmbeddedServer(settings).status().pid
        return [] if pid is None else [pid]
    if victim == "lock":
        return [
            int(row[0]) for row in execute(settings, "swiftbolt", LOCK_HOLDERS)
        ]
    found = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "popen_loky" in " ".join(child.cmdline()):
                    found.append(child.pid)
    return found


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


def execute(
    settings: Settings, database: str, *statements: str
) -> list[tuple[Any, ...]]:
    """Run statements, each a transaction; the rows of the last one."""
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
            return cursor.fetchall() if cursor.description else []


if __name__ == "__main__":
    sys.exit(main())
