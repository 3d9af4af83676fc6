"""ADBC's module for PostgreSQL, without what it imports and we do not use."""

import sys
from typing import Any


def import_adbc() -> Any:
    """The module `adbc_driver_postgresql.dbapi`, without Polars.

    ADBC imports each library of frames that is installed. We take its answers
    as tables of Arrow alone, and Polars would cost every command that reads
    0.3 s and 25 MB.
    """
    name = "polars"
    if name not in sys.modules:
        # To an import statement None says that there is no such module.
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        from adbc_driver_postgresql import dbapi
    finally:
        if sys.modules[name] is None:
            del sys.modules[name]
    return dbapi
