"""Many queries of one moment, for pages that are read together."""

import contextlib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from python_ml.warehouse.bulk import quoting, to_pandas
from python_ml.warehouse.connection import Warehouse


class SnapshotReader:
    """Reads many queries of one moment, in a transaction that cannot write.

    Each query has a few seconds. One that fails is raised; the next begins a
    new transaction, so it sees what was committed by then.

    Parameters
    ----------
    warehouse : Warehouse
    seconds : float, default=10
        Longest time of one statement.

    Examples
    --------
    >>> with SnapshotReader(warehouse) as snapshot:
    ...     snapshot.read("select count(*) as n from {features}.bars")
    ... # doctest: +SKIP
    """

    def __init__(self, warehouse: Warehouse, *, seconds: float = 10) -> None:
        self.warehouse = warehouse
        self.seconds = seconds
        self._has_begun = False

    def __enter__(self) -> "SnapshotReader":
        with contextlib.ExitStack() as stack:
            self._quote = stack.enter_context(quoting(self.warehouse))
            self._cursor = stack.enter_context(self.warehouse.reader())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._end()
        finally:
            self._stack.close()

    def read(
        self, query: str, parameters: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Read the result of a query, as `read_frame` does."""
        statement = self._quote(query, parameters or {})
        if not self._has_begun:
            self._begin()
        try:
            self._cursor.execute(statement)
            return to_pandas(self._cursor.fetch_arrow_table())
        except BaseException:
            self._end()
            raise

    def _begin(self) -> None:
        self._has_begun = True
        milliseconds = round(self.seconds * 1000)
        for statement in (
            "begin isolation level repeatable read read only",
            f"set local statement_timeout to {milliseconds}",
            # Compiling a query costs more than these take.
            "set local jit to off",
        ):
            self._cursor.execute(statement)

    def _end(self) -> None:
        if self._has_begun:
            self._has_begun = False
            self._cursor.execute("rollback")
