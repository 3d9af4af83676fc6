"""The folder of the server's socket, and whether it answers there."""

import contextlib
import os
import re
import socket
import stat
import struct
from pathlib import Path

from python_ml.exceptions import ServerError
from python_ml.warehouse.embedded.configuration import PORT
from python_ml.warehouse.embedded.files import ServerFiles, digest
from python_ml.warehouse.embedded.user import ServerUser, give, user_name

# The kernel's limit is 108 bytes on Linux and 104 on macOS.
MAX_SOCKET_PATH_BYTES = 100
SHORT_SOCKET_ROOT = Path("/tmp")
ANSWER_SECONDS = 10.0
# PostgreSQL answers it with one byte, before any login.
SSL_REQUEST = struct.pack("!II", 8, 80877103)


def make_socket_directory(files: ServerFiles, user: ServerUser | None) -> Path:
    """Make the socket's folder, which only the server's user can enter.

    Raises
    ------
    ServerError
        If another user has taken its place.
    """
    directory = files.directory / "socket"
    socket_path = directory / f".s.PGSQL.{PORT}"
    is_short = len(os.fsencode(socket_path)) < MAX_SOCKET_PATH_BYTES
    # A comma parts hosts, quotes part settings.
    is_plain = re.fullmatch(r"[\w ./+@=-]+", str(directory), flags=re.ASCII)
    if is_short and is_plain:
        directory.mkdir(mode=0o700, exist_ok=True)
    else:
        name = digest(f"{os.geteuid()}:{files.directory}")
        directory = SHORT_SOCKET_ROOT / f"swiftbolt-{name}"
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
                f"server, but it belongs to {user_name(found.st_uid)} or "
                "is no folder. Remove it or choose a shorter "
                "SWIFTBOLT_HOME."
            )
    directory.chmod(0o700)
    give(directory, user)
    # No server of ours runs now, and their lock names just as stale a pid.
    for path in directory.glob(".s.PGSQL.*"):
        path.unlink()
    return directory


def does_answer(directory: Path, port: int) -> bool:
    """Whether a server answers on the socket in a folder.

    A process that was sent SIGKILL looks alive for a while, and its socket
    takes connections; only an answer proves life.
    """
    path = directory / f".s.PGSQL.{port}"
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_SECONDS)
            client.connect(str(path))
            client.sendall(SSL_REQUEST)
            return client.recv(1) != b""
    except OSError:
        return False
