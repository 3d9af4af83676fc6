"""Logging in to PostgreSQL, and what to do where it refuses."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any

import psycopg2

from python_ml.exceptions import ServerError
from python_ml.interrupts import cancel_on_end
from python_ml.settings import Target
from python_ml.warehouse.errors import explain_exhaustion
from python_ml.warehouse.parameters import ConnectionParameters

CONNECT_SECONDS = 10


def resolve_parameters() -> ConnectionParameters:
    """Log in as libpq's environment variables say and see where that leads.

    Raises
    ------
    ServerError
        If that fails.
    """
    with contextlib.closing(log_in({}, "postgres")) as connection:
        info = connection.info
        return ConnectionParameters(
            host=info.host or "localhost",
            port=info.port,
            user=info.user,
            password=info.password or "",
            database=info.dbname,
        )


def log_in(keywords: Mapping[str, Any], target: Target) -> Any:
    """Connect in UTC; the connection's query ends with this process.

    Parameters
    ----------
    keywords : mapping of str to object
        Of libpq; what is empty is left to its environment variables.
    target : str
        Whose advice is given where that fails.

    Raises
    ------
    ServerError
        If the server cannot be reached or refuses the login.
    """
    try:
        connection = psycopg2.connect(
            connect_timeout=CONNECT_SECONDS,
            application_name="swiftbolt",
            **{key: value for key, value in keywords.items() if value},
        )
    except psycopg2.OperationalError as error:
        raise ServerError(_explain_refusal(str(error), target)) from error
    cancel_on_end(connection, "cancel")
    with connection.cursor() as cursor:
        cursor.execute("set timezone to 'UTC'")
    connection.commit()
    return connection


def _explain_refusal(message: str, target: Target) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    found = lines[0] if lines else "no reason given"
    if re.search("too many (clients|connections)|connection slots", message):
        return f"The database cannot be used: {explain_exhaustion(found)}"
    if "password authentication failed" in message or "no password" in message:
        advice = (
            "Set PGUSER and PGPASSWORD to a login of that server."
            if target == "postgres"
            else "Remove the file `password` in the server's folder (see "
            "`swiftbolt db status`) and run the same command again."
        )
    elif re.search(r'database ".*" does not exist', message):
        advice = "Set PGDATABASE to an existing one, or make it with: createdb"
    elif re.search(r'role ".*" does not exist', message):
        advice = "Set PGUSER to a login of that server."
    elif "pg_hba.conf" in message:
        advice = (
            "The server does not admit this user, database or address; ask "
            "whoever runs it."
        )
    elif target == "postgres":
        advice = (
            "Set PGHOST and PGPORT to a running server, or use the embedded "
            "one with SWIFTBOLT_TARGET=embedded."
        )
    else:
        advice = "Run the same command again, which starts the server."
    return f"The database cannot be used: {found.rstrip('.')}. {advice}"
