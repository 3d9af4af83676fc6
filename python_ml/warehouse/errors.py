"""What the database's errors mean to the person who ran the command.

One place for all three ways of talking to it: SQLAlchemy, psycopg2 and ADBC.
"""

import errno
import re

from python_ml.exceptions import (
    ExhaustedError,
    SchemaError,
    ServerError,
    SwiftBoltError,
)

LOST_CONNECTION_MESSAGE = (
    "The connection to the database was lost. Everything finished before is "
    "kept; run the same command again."
)
# SQLSTATE classes and codes after which nothing can be done on a connection.
CONNECTION_CLASSES = ("08",)
SHUTDOWN_CODES = ("57P01", "57P02", "57P03", "57P05")
SERVER_FULL_CLASS = "53"
DISK_ADVICE = (
    "Make room where SWIFTBOLT_HOME, the temporary files (TMPDIR) or the "
    "output are,"
)
EXHAUSTED = {
    errno.ENOSPC: DISK_ADVICE,
    errno.EDQUOT: DISK_ADVICE,
    errno.EROFS: "Set SWIFTBOLT_HOME to a folder that can be written to",
    errno.EMFILE: "Allow more open files (ulimit -n)",
    errno.ENFILE: "Close other programs",
    errno.EAGAIN: "Allow more processes (ulimit -u)",
}
UNDEFINED_CODES = ("3F000", "42P01", "42703")
PRIVILEGE_CODE = "42501"
WHAT_SERVER_SAID = re.compile(r"ERROR: (.*?) LINE \d+: ")


def translate_database_error(error: BaseException) -> SwiftBoltError | None:
    """Error of this package that says the same, or None for a plain bug.

    Parameters
    ----------
    error : BaseException
        Anything; what it was raised `from` is looked at too.
    """
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, SwiftBoltError):
            return current
        if (translated := _translate_one(current)) is not None:
            return translated
        current = current.__cause__
    return None


def explain_exhaustion(message: str) -> str:
    """What a server has run out of, and what to do.

    Examples
    --------
    >>> explain_exhaustion("sorry, too many clients already")[:47]
    'The database server has no free connection left'
    """
    if "shared memory" in message:
        what, advice = (
            "shared memory",
            ("Enlarge /dev/shm (of a container: --shm-size=1g)"),
        )
    elif "clients" in message or "connection" in message:
        what, advice = (
            "free connection",
            ("Close other programs that use it, or raise its max_connections"),
        )
    elif "memory" in message:
        what, advice = "memory", "End other programs, or use a smaller --jobs"
    else:
        what, advice = "room", "Make some on the disk of its data"
    return (
        f"The database server has no {what} left: {message.rstrip('.')}. "
        f"{advice}, and run the same command again."
    )


def translate_system_error(error: BaseException) -> SwiftBoltError | None:
    """Error of this package for what the operating system has run out of.

    Parameters
    ----------
    error : BaseException
        Anything; what it was raised `from` is looked at too.
    """
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, OSError) and current.errno in EXHAUSTED:
            where = f" ({current.filename})" if current.filename else ""
            return ExhaustedError(
                f"{current.strerror}{where}. {EXHAUSTED[current.errno]} and "
                "run the same command again; what was finished is kept."
            )
        if isinstance(current, MemoryError):
            return ExhaustedError(
                "There is not enough memory. End other programs, or use a "
                "smaller --jobs or fewer symbols, and run the same command "
                "again; what was finished is kept."
            )
        current = current.__cause__
    return None


def _translate_one(error: BaseException) -> SwiftBoltError | None:
    import adbc_driver_manager
    import psycopg2
    import sqlalchemy.exc

    if isinstance(error, sqlalchemy.exc.PendingRollbackError):
        return ServerError(LOST_CONNECTION_MESSAGE)
    is_disconnect = False
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        is_disconnect = error.connection_invalidated
        if error.orig is None:
            return ServerError(LOST_CONNECTION_MESSAGE)
        error = error.orig
    if isinstance(error, psycopg2.Error):
        code = error.pgcode
        message = error.diag.message_primary or str(error)
        # Without a code libpq speaks: it could not reach the server.
        is_disconnect |= code is None and isinstance(
            error, psycopg2.OperationalError | psycopg2.InterfaceError
        )
        # A server that dies in the midst of an answer.
        is_disconnect |= code is None and "server closed" in message
    elif isinstance(error, adbc_driver_manager.Error):
        code, message = error.sqlstate, str(error)
        is_disconnect = (code is None or not code.strip("\0")) and (
            "server closed" in message
            or "no connection" in message
            or "Failed to connect" in message
            or "connection to server" in message
            or "could not receive data" in message
            or "could not send data" in message
        )
    else:
        return None
    message = " ".join(message.split())
    if (
        is_disconnect
        or (code or "").startswith(CONNECTION_CLASSES)
        or code in SHUTDOWN_CODES
    ):
        return ServerError(LOST_CONNECTION_MESSAGE)
    if (code or "").startswith(SERVER_FULL_CLASS):
        return ServerError(explain_exhaustion(message))
    if code in UNDEFINED_CODES:
        # ADBC puts its own words before and the whole query behind.
        said = WHAT_SERVER_SAID.search(message)
        return SchemaError(
            "The warehouse is not complete: "
            f"{said.group(1) if said else message}. Build it with: "
            "swiftbolt run"
        )
    if code == PRIVILEGE_CODE:
        return ServerError(
            f"The database login lacks a privilege: {message}. Grant it or "
            "log in as another user (PGUSER)."
        )
    return None
