"""What a layout says about a file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

VALUE_FIELDS = ("open", "high", "low", "close", "volume")
FIELDS = ("symbol", "timeframe", "ts", *VALUE_FIELDS, "currency")
# Handed on where a file has them, by these names in any case.
EVENT_FIELDS = ("dividends", "stock_splits", "adj_close")
# Joins the names of two columns that make one time.
AND = "+"


@dataclass(frozen=True)
class Layout:
    """Which columns of a vendor's files hold what.

    Parameters
    ----------
    name : str
        As in `--layout`.
    columns : mapping of str to tuple of str
        Of each of `FIELDS` the column's possible names, folded as by `fold`;
        `date+time` are two columns of one time.
    known_by : tuple of frozenset of str
        A file is in the layout if its columns hold all of one of these, folded.
    not_with : frozenset of str
        Columns that a file in the layout does not have, folded.
    path_patterns : tuple of str
        Where its files' paths have symbol and timeframe, see `PathPattern`.
    shapes : mapping of tuple of str to str
        Of files without a header: names of the columns, and a pattern that
        their first line matches in full.
    timeframes : mapping of str to str
        Codes that stand for timeframes and are not spelt like them.
    fixed_point : int or None
        Decimals of prices that are written as whole numbers.
    no_volume : str or None
        What stands in place of a volume where there is none.
    """

    name: str
    columns: Mapping[str, tuple[str, ...]]
    known_by: tuple[frozenset[str], ...] = ()
    not_with: frozenset[str] = frozenset()
    path_patterns: tuple[str, ...] = ()
    shapes: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    timeframes: Mapping[str, str] = field(default_factory=dict)
    fixed_point: int | None = None
    no_volume: str | None = None

    def is_of(self, header: Sequence[str]) -> bool:
        """Whether a file with these columns is in the layout."""
        folded = {fold(name) for name in header}
        return not folded & self.not_with and any(
            names <= folded for names in self.known_by
        )

    def columns_of(self, line: str) -> tuple[str, ...] | None:
        """Names of columns of a file without a header, by its first line."""
        for names, pattern in self.shapes.items():
            if re.fullmatch(pattern, line):
                return names
        return None


def fold(name: str) -> str:
    """Name of a column without case, brackets, underscores and outer space.

    Examples
    --------
    >>> fold("<OPEN>"), fold("Adj_Close "), fold("openTime")
    ('open', 'adj close', 'opentime')
    """
    return " ".join(name.strip().strip("<>").replace("_", " ").lower().split())


def ohlcv(**names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Columns that are called by what they hold, and others."""
    return {name: (name,) for name in VALUE_FIELDS} | names


def known_by(text: str) -> frozenset[str]:
    """Folded names between commas."""
    return frozenset(name.strip() for name in text.split(","))
