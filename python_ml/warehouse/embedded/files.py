"""The folder of the embedded server and what lies in it."""

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from python_ml.exceptions import ServerError, SettingsError
from python_ml.settings import Settings

LOCK_SECONDS = 120.0
MAX_LOG_BYTES = 20_000_000
PRIVATE_MODE = 0o700
# Root's server runs as somebody else, who has to pass through.
REACHABLE_MODE = 0o711
# Those that a shell reads between double quotes.
SHELL_CHARACTERS = set('"$`\\\n\r')


class ServerFiles:
    """Files of the server below `settings.server_dir`.

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
        return f"swiftbolt-{digest(str(self.data_directory))}"

    @property
    def configuration_path(self) -> Path:
        """Settings of the server, which stand in for `postgresql.conf`."""
        return self.directory / "swiftbolt.conf"

    def make_directories(self) -> None:
        """Make the folders of the server and its log.

        Raises
        ------
        SettingsError
            If PostgreSQL's programs could not handle their path.
        """
        if set(str(self.directory)) & SHELL_CHARACTERS:
            raise SettingsError(
                f"SWIFTBOLT_HOME is {self.settings.home}, but PostgreSQL's "
                "programs hand their paths to a shell. Choose one without "
                "quotes, backslashes, backticks, dollar signs and line ends."
            )
        _make_reachable_directory(self.directory)
        # Also where an earlier version made them, or another umask.
        for path in (self.settings.home, self.directory):
            _hide(path, REACHABLE_MODE if os.geteuid() == 0 else PRIVATE_MODE)
        self.log_path.parent.mkdir(exist_ok=True)
        _hide(self.log_path.parent, PRIVATE_MODE)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock under which the server is started and stopped.

        Raises
        ------
        ServerError
            If another process does not let go of it.
        """
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

    def password(self) -> str | None:
        """Password of the superuser; None if it is lost."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "password").read_text().strip() or None
        return None

    def write_password(self, password: str) -> None:
        """Keep the superuser's password, readable by its owner only."""
        write_private_file(self.directory / "password", password + "\n")

    def rotate_log(self) -> int:
        """Put a long log aside; return where its next line will begin."""
        if self._log_size() > MAX_LOG_BYTES:
            self.log_path.replace(
                self.log_path.with_name(f"{self.log_path.name}.1")
            )
        return self._log_size()

    def open_log(self) -> BinaryIO:
        """The server's log, to be written to; readable by its owner alone."""
        descriptor = os.open(
            self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )
        os.fchmod(descriptor, 0o600)
        return os.fdopen(descriptor, "ab")

    def read_log(self, offset: int) -> str:
        """Text that the log has gained since `offset`."""
        with self.log_path.open("rb") as file:
            file.seek(offset)
            return file.read(100_000).decode(errors="replace")

    def _log_size(self) -> int:
        return self.log_path.stat().st_size if self.log_path.exists() else 0


def _make_reachable_directory(path: Path) -> None:
    """Make a folder and its parents; root's can be entered by others."""
    if path.is_dir():
        return
    if path.parent != path:
        _make_reachable_directory(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        if os.geteuid() == 0:
            path.chmod(REACHABLE_MODE)


def _hide(path: Path, mode: int) -> None:
    """Take from others what they may not do with a folder of ours."""
    found = path.stat()
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & ~mode:
        path.chmod(stat.S_IMODE(found.st_mode) & mode)


def write_private_file(path: Path, content: str) -> None:
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


def digest(text: str) -> str:
    """First twelve digits of the hash of a text."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:12]


def last_lines(text: str, *, n_lines: int = 4) -> str:
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
