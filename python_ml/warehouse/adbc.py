"""ADBC's module for PostgreSQL, without Polars: `dbapi`.

ADBC imports each library of frames that is installed. We take its answers as
tables of Arrow alone, and Polars would cost every command that reads 0.15 s and
25 MB.
"""

import sys

is_hidden = "polars" not in sys.modules
if is_hidden:
    # To an import statement None says that there is no such module.
    sys.modules["polars"] = None  # type: ignore[assignment]
try:
    from adbc_driver_postgresql import dbapi
finally:
    if is_hidden:
        del sys.modules["polars"]

__all__ = ["dbapi"]
