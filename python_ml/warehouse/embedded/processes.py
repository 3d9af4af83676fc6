"""Processes of the embedded server, told from those of strangers.

A process is only ever signalled once its owner, name and command line prove
that it belongs to this data directory: the number in `postmaster.pid` may by
now be anyone's.
"""

import contextlib
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from python_ml.exceptions import ServerError
from python_ml.warehouse.embedded.files import ServerFiles

# Crash recovery replays the log before the server is ready.
START_SECONDS = 300.0
STOP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The running server's first process, as `postmaster.pid` describes it."""

    process: psutil.Process
    port: int
    socket_directory: Path
    state: str


def find_postmaster(files: ServerFiles) -> Postmaster | None:
    """The running postmaster that `postmaster.pid` names, if it is ours."""
    try:
        lines = (
            (files.data_directory / "postmaster.pid")
            .read_text(errors="replace")
            .splitlines()
        )
        pid, port = int(lines[0]), int(lines[3])
        socket_directory = Path(lines[4])
        process = psutil.Process(pid)
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    if not lines[4] or not _is_ours(files, process):
        return None
    state = lines[7].strip() if len(lines) > 7 else "starting"
    return Postmaster(process, port, socket_directory, state)


def settled_postmaster(files: ServerFiles) -> Postmaster | None:
    """The postmaster, once it has done with starting or stopping."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        postmaster = find_postmaster(files)
        if postmaster is None or postmaster.state == "ready":
            return postmaster
        if time.monotonic() > deadline:
            raise ServerError(
                f"The embedded server in {files.directory} has been "
                f"{postmaster.state} for {START_SECONDS:.0f} s. Look into "
                "its log and run the same command again (log: "
                f"{files.log_path})"
            )
        time.sleep(0.05)


def find_processes(files: ServerFiles) -> list[psutil.Process]:
    """All living processes of the server."""
    return [
        process for process in psutil.process_iter() if _is_ours(files, process)
    ]


def clear_leftovers(files: ServerFiles) -> None:
    """End and remove what earlier starts left behind.

    After kill -9 of a postmaster its backends may run on for a while and
    hold the shared memory. They end as a crashing postmaster ends them.
    """
    steps: tuple[tuple[signal.Signals | None, float], ...] = (
        # Some are ending already.
        (None, 2.0),
        # A postmaster without its pid file. To its checkpointer the same
        # signal means something else.
        (signal.SIGINT, STOP_SECONDS),
        (signal.SIGQUIT, 5.0),
        (signal.SIGKILL, 5.0),
    )
    for number, seconds in steps:
        processes = find_processes(files)
        if number == signal.SIGINT:
            processes = _heads(processes)
        if number is not None:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        # Not waiting on the processes: a container may bury none.
        deadline = time.monotonic() + (seconds if processes else 0.0)
        while find_processes(files) and time.monotonic() < deadline:
            time.sleep(0.02)
    if processes := find_processes(files):
        raise ServerError(
            "Processes of an earlier embedded server in "
            f"{files.directory} do not end: "
            f"{', '.join(str(process.pid) for process in processes)}."
        )
    for path in files.directory.glob("new-*"):
        # An initdb whose Python was killed may still be writing to it.
        shutil.rmtree(path, ignore_errors=True)
    pid_path = files.data_directory / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError):
        first_line = pid_path.read_text(errors="replace").partition("\n")[0]
        # PostgreSQL replaces the file itself when the process is gone,
        # and checks the shared memory that it names.
        if not first_line.isdecimal() or psutil.pid_exists(int(first_line)):
            pid_path.unlink()


def is_alive(pid: int) -> bool:
    """Whether a process lives, other than as a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_ours(files: ServerFiles, process: psutil.Process) -> bool:
    """Whether a living process is of the server on our data directory."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if process.uids().effective != files.data_directory.stat().st_uid:
            return False
        if process.name() != "postgres":
            return False
        command = process.cmdline()
    except (OSError, psutil.Error):
        return False
    title = f"postgres: {files.cluster_name}:"
    return str(files.data_directory) in command or title in " ".join(command)


def _heads(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those whose command line is not a title: postmasters, no children."""
    pids = {process.pid for process in processes}
    heads = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            is_titled = process.cmdline()[0].startswith("postgres: ")
            if not is_titled and process.ppid() not in pids:
                heads.append(process)
    return heads
