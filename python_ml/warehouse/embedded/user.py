"""The unprivileged user that runs the server of root."""

import contextlib
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from python_ml.exceptions import ServerError, SettingsError
from python_ml.warehouse.embedded.files import ServerFiles

ROOT_SERVER_USERS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The unprivileged user that runs root's server."""

    name: str
    uid: int
    gid: int


def find_server_user(files: ServerFiles) -> ServerUser | None:
    """User to become, or None to stay who we are.

    Raises
    ------
    ServerError
        If the data belong to a user who cannot run the server, or root finds
        no unprivileged user.
    """
    data = files.data_directory
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise ServerError(
                f"{data} belongs to {user_name(owner)}, but this is "
                f"{user_name(os.geteuid())}. Run as the owner or choose "
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
        f"{data} belongs to {user_name(owner)}, who cannot run "
        "PostgreSQL. Give it to an unprivileged user with: chown -R "
        f"postgres '{data}'"
    )


def check_reachable(files: ServerFiles, user: ServerUser | None) -> None:
    """Check that the user can enter the folder of the server.

    Raises
    ------
    SettingsError
        Naming the folder that it cannot enter.
    """
    if user is None:
        return
    for folder in (*reversed(files.directory.parents), files.directory):
        entered = subprocess.run(
            ["/bin/sh", "-c", 'cd -- "$0"', str(folder)],
            cwd="/",
            capture_output=True,
            **identity(user),
        )
        if entered.returncode:
            raise SettingsError(
                f"SWIFTBOLT_HOME is {files.settings.home}, but the "
                f"embedded server of root runs as {user.name}, who cannot "
                f"enter {folder}. Choose another SWIFTBOLT_HOME, for "
                "instance /var/lib/swiftbolt/main."
            )


def identity(user: ServerUser | None) -> dict[str, Any]:
    """Arguments that let `subprocess.run` run a program as the user."""
    if user is None:
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": []}


def give(path: Path, user: ServerUser | None) -> None:
    """Make the user the owner of a file, unless we stay who we are."""
    if user is not None:
        os.chown(path, user.uid, user.gid)


def user_name(uid: int | None) -> str:
    """Name of a user, or the number if it has none."""
    try:
        return pwd.getpwuid(uid if uid is not None else -1).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"
