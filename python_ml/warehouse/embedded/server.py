"""Life cycle of the embedded server: start, stop and status."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from python_ml.exceptions import ServerError, SwiftBoltError
from python_ml.settings import Settings
from python_ml.warehouse.embedded.binaries import (
    environment,
    find_binaries,
    run_program,
)
from python_ml.warehouse.embedded.cluster import (
    DATABASE,
    SUPERUSER,
    check_data,
    initialise,
)
from python_ml.warehouse.embedded.configuration import write_configuration
from python_ml.warehouse.embedded.files import ServerFiles, last_lines
from python_ml.warehouse.embedded.processes import (
    START_SECONDS,
    STOP_SECONDS,
    Postmaster,
    clear_leftovers,
    find_postmaster,
    find_processes,
    is_alive,
    settled_postmaster,
)
from python_ml.warehouse.embedded.sockets import (
    does_answer,
    make_socket_directory,
)
from python_ml.warehouse.embedded.user import (
    ServerUser,
    check_reachable,
    find_server_user,
    identity,
)
from python_ml.warehouse.parameters import ConnectionParameters

START_ATTEMPTS = 5
KILLED_SECONDS = 1.0
# What another server on the same data directory leaves for a moment.
PASSING_START_FAILURES = (
    "pre-existing shared memory block",
    "already exists",
    "is still in use",
)


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


class EmbeddedServer:
    """The server whose files are below `settings.server_dir`.

    Parameters
    ----------
    settings : Settings

    Attributes
    ----------
    settings : Settings
    files : ServerFiles
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.files = ServerFiles(settings)

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
            self.files.make_directories()
            with self.files.locked():
                user = find_server_user(self.files)
                postmaster = settled_postmaster(self.files)
                if postmaster is not None and not self._is_usable(postmaster):
                    # Killed a moment ago, or something of it was swept away.
                    with contextlib.suppress(psutil.TimeoutExpired):
                        postmaster.process.wait(KILLED_SECONDS)
                    self._stop(find_binaries(self.files, user), user)
                    postmaster = None
                if postmaster is None:
                    check_reachable(self.files, user)
                    postmaster = self._start(
                        find_binaries(self.files, user), user
                    )
                return self._parameters(postmaster)

    def stop(self) -> bool:
        """Stop the server; False if none was running.

        Raises
        ------
        ServerError
            If the server does not stop.
        """
        with self._explained("stop"):
            if not self.files.data_directory.exists():
                return False
            with self.files.locked():
                user = find_server_user(self.files)
                if not find_processes(self.files):
                    return False
                self._stop(find_binaries(self.files, user), user)
                clear_leftovers(self.files)
                return True

    def status(self) -> ServerStatus:
        """Look, without changing anything.

        Raises
        ------
        ServerError
            If the server belongs to another user.
        """
        with self._explained("look at"):
            find_server_user(self.files)
            postmaster = find_postmaster(self.files)
            version = None
            with contextlib.suppress(FileNotFoundError):
                version = (
                    (self.files.data_directory / "PG_VERSION")
                    .read_text()
                    .strip()
                )
        return ServerStatus(
            is_running=postmaster is not None and self._is_usable(postmaster),
            pid=postmaster.process.pid if postmaster else None,
            socket_directory=(
                postmaster.socket_directory if postmaster else None
            ),
            data_directory=self.files.data_directory,
            log_path=self.files.log_path,
            version=version,
        )

    def parameters(self) -> ConnectionParameters:
        """How to reach the server, without starting it.

        Raises
        ------
        ServerError
            If it does not run.
        """
        with self._explained("look at"):
            postmaster = find_postmaster(self.files)
        if postmaster is None:
            raise ServerError(
                f"The embedded server in {self.files.directory} does not run. "
                "Start it with: swiftbolt db start"
            )
        return self._parameters(postmaster)

    @contextlib.contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Say what was asked when the operating system refuses."""
        try:
            yield
        except SwiftBoltError:
            raise
        except OSError as error:
            raise ServerError(
                f"Cannot {verb} the embedded server in {self.files.directory}: "
                f"{_describe(error)}. Mend that or choose another "
                "SWIFTBOLT_HOME."
            ) from error

    def _start(self, binaries: Path, user: ServerUser | None) -> Postmaster:
        failure = ""
        for attempt in range(START_ATTEMPTS):
            clear_leftovers(self.files)
            if not self.files.data_directory.exists():
                initialise(self.files, binaries, user)
            check_data(self.files, binaries, user)
            socket_directory = make_socket_directory(self.files, user)
            write_configuration(self.files, socket_directory, user)
            log_offset = self.files.rotate_log()
            postmaster = self._launch(binaries, user)
            if postmaster is not None:
                return postmaster
            failure = last_lines(self.files.read_log(log_offset))
            if not any(part in failure for part in PASSING_START_FAILURES):
                break
            time.sleep(0.2 * 2**attempt)
        raise ServerError(
            f"The embedded server in {self.files.directory} did not start: "
            f"{failure or 'it ended without a word'} "
            f"(log: {self.files.log_path})"
        )

    def _launch(
        self, binaries: Path, user: ServerUser | None
    ) -> Postmaster | None:
        """Start the postmaster, detached; None if it ended at once.

        The shell goes away at once and leaves the postmaster to init, so it
        is neither our child nor in the terminal's session: Ctrl-C does not
        reach it and its end leaves no zombie here.
        """
        with self.files.open_log() as log:
            shell = subprocess.run(
                [
                    "/bin/sh",
                    "-c",
                    '"$@" </dev/null >&2 & echo "$!"',
                    "sh",
                    str(binaries / "postgres"),
                    "-D",
                    str(self.files.data_directory),
                    "-c",
                    f"config_file={self.files.configuration_path}",
                ],
                cwd=self.files.directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=environment(),
                umask=0o077,
                check=True,
                **identity(user),
            )
        pid = int(shell.stdout)
        deadline = time.monotonic() + START_SECONDS
        while is_alive(pid) and time.monotonic() < deadline:
            # Until it has written its file, there is nothing to wait for.
            postmaster = settled_postmaster(self.files)
            if postmaster is not None and postmaster.process.pid == pid:
                return postmaster
            time.sleep(0.02)
        return None

    def _is_usable(self, postmaster: Postmaster) -> bool:
        """Whether it answers, and can be logged in to."""
        return (
            postmaster.state == "ready"
            and self.files.password() is not None
            and does_answer(postmaster.socket_directory, postmaster.port)
        )

    def _parameters(self, postmaster: Postmaster) -> ConnectionParameters:
        return ConnectionParameters(
            host=str(postmaster.socket_directory),
            port=postmaster.port,
            user=SUPERUSER,
            password=self.files.password() or "",
            database=DATABASE,
        )

    def _stop(self, binaries: Path, user: ServerUser | None) -> None:
        if find_postmaster(self.files) is None:
            return
        try:
            run_program(
                self.files,
                [
                    str(binaries / "pg_ctl"),
                    "stop",
                    "--pgdata",
                    str(self.files.data_directory),
                    "--mode=fast",
                    "--wait",
                    f"--timeout={STOP_SECONDS}",
                ],
                user,
            )
        except ServerError:
            # It may have ended by itself meanwhile.
            if find_postmaster(self.files) is not None:
                raise


def _describe(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{reason}: {error.filename}" if error.filename else reason
