"""Which columns of a file hold symbol, timeframe, time, prices and volume."""

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from python_ml.exceptions import IngestionError
from python_ml.ingestion.readers.layouts import LAYOUTS
from python_ml.ingestion.readers.layouts.layout import (
    AND,
    EVENT_FIELDS,
    FIELDS,
    VALUE_FIELDS,
    Layout,
    fold,
)
from python_ml.ingestion.readers.layouts.named_columns import NAMED_COLUMNS

# Others may be missing from the rows.
NEEDED = ("ts", "open", "high", "low", "close")
CURRENCY_NAMES = ("currency", "ccy", "currency code", "currencyprimary")
LIKE_VOLUME = "vol|qty|quantity|shares|turnover|amount|^v$"


@dataclass(frozen=True)
class BarColumns:
    """Columns of one bar of a row.

    Parameters
    ----------
    positions : mapping of str to tuple of int
        Where the columns of each field stand, counted from 0; two that make
        one time. Fields that the file lacks are absent.
    symbol : str or None
        Symbol of all rows, where the header names it.
    """

    positions: Mapping[str, tuple[int, ...]]
    symbol: str | None = None

    def to_text(self, header: Sequence[str]) -> str:
        """Say which column is read as what, as `--columns` does."""
        named = [
            f"{field}={AND.join(header[place] for place in places)}"
            for field, places in self.positions.items()
        ]
        if "volume" not in self.positions:
            named.append("no volume, stored as 0")
        return ", ".join(named)


def recognise_layout(header: Sequence[str]) -> Layout:
    """Layout of a file with these columns."""
    return next(
        (layout for layout in LAYOUTS if layout.is_of(header)), NAMED_COLUMNS
    )


def find_columns(
    path: Path,
    header: Sequence[str],
    layout: Layout,
    chosen: Mapping[str, str],
) -> BarColumns:
    """Find the columns of a file.

    Parameters
    ----------
    path : Path
        For what is said if they are not found.
    header : sequence of str
        Names of the columns.
    layout : Layout
    chosen : mapping of str to str
        Name, or number from 1, of the column of a field, from `--columns`.

    Raises
    ------
    IngestionError
        If a column is missing, there twice, or one of several.
    """
    positions: dict[str, tuple[int, ...]] = {}
    missing = []
    for field in FIELDS:
        if field in chosen:
            positions[field] = tuple(
                _position(path, header, name)
                for name in _chosen_names(header, chosen[field])
            )
        elif found := _find_by_name(path, header, layout, field):
            positions[field] = found
        elif field in ("symbol", "timeframe", "currency"):
            continue
        elif field != "volume" or _names_like_volume(header, positions):
            missing.append(field)
    folded = [fold(name) for name in header]
    for field in EVENT_FIELDS:
        if folded.count(fold(field)) == 1:
            positions[field] = (folded.index(fold(field)),)
    # Nothing hangs on it, so of several none is taken.
    named = [
        place for place in range(len(folded)) if folded[place] in CURRENCY_NAMES
    ]
    if len(named) == 1:
        positions.setdefault("currency", (named[0],))
    if missing:
        raise IngestionError(
            f"{path} lacks the column {', '.join(missing)}; it has "
            f"{', '.join(header) or 'none'}. If one of them is meant, name it, "
            f"for example: --columns {missing[0]}=NAME"
        )
    return BarColumns(positions)


def find_wide_columns(
    pairs: Sequence[Sequence[str]], times: int = 0
) -> tuple[BarColumns, ...]:
    """Columns of a table with a column for each value of each symbol.

    Parameters
    ----------
    pairs : sequence of sequence of str
        Of each column the symbol and the value, either way round.
    times : int, default=0
        Position of the column that holds the times.
    """
    wide = {fold(field): field for field in (*VALUE_FIELDS, *EVENT_FIELDS)}
    by_symbol: dict[str, dict[str, tuple[int, ...]]] = {}
    for place, pair in enumerate(pairs):
        folded = [fold(name) for name in pair]
        field = next((name for name in folded if name in wide), None)
        if place != times and len(pair) == 2 and field:
            symbol = pair[1 - folded.index(field)]
            found = by_symbol.setdefault(symbol, {"ts": (times,)})
            found[wide[field]] = (place,)
    return tuple(
        BarColumns(positions, symbol)
        for symbol, positions in by_symbol.items()
        if {"open", "high", "low", "close"} <= positions.keys()
    )


def pairs_of(names: Sequence[str]) -> list[Sequence[str]]:
    """Names of columns that pandas wrote as text of pairs.

    Examples
    --------
    >>> pairs_of(["Date", "('Close', 'AAPL')"])
    [('Date',), ('Close', 'AAPL')]
    """
    pairs: list[Sequence[str]] = []
    for name in names:
        pair: object = None
        if name.startswith("('"):
            try:
                pair = ast.literal_eval(name)
            except (SyntaxError, ValueError):
                pair = None
        is_pair = isinstance(pair, tuple) and all(
            isinstance(part, str) for part in pair
        )
        pairs.append(pair if is_pair else (name,))  # type: ignore[arg-type]
    return pairs


def count_known(header: Sequence[str]) -> int:
    """Count the fields that some layout knows by the names of columns."""
    folded = {fold(name) for name in header}
    known = 0
    for field in FIELDS:
        names = {
            part
            for layout in LAYOUTS
            for name in layout.columns.get(field, ())
            for part in name.split(AND)
        }
        known += bool(names & folded)
    return known


def _find_by_name(
    path: Path, header: Sequence[str], layout: Layout, field: str
) -> tuple[int, ...] | None:
    """Where a field's column stands; what a layout lacks, by common names."""
    found = _find(path, header, layout, field)
    if found is None and field not in NEEDED:
        found = _find(path, header, NAMED_COLUMNS, field)
    return found


def _find(
    path: Path, header: Sequence[str], layout: Layout, field: str
) -> tuple[int, ...] | None:
    """Where a field's column stands by the names that the layout gives it."""
    folded = [fold(name) for name in header]
    names = layout.columns.get(field, ())
    candidates = []
    for name in names:
        parts = name.split(AND)
        if all(part in folded for part in parts):
            candidates.append(parts)
    if not candidates:
        return None
    if header.count(field) == 1:
        return (header.index(field),)
    parts = candidates[0]
    if layout is NAMED_COLUMNS:
        # A pair of columns stands for each of its own.
        others = [
            AND.join(other)
            for other in candidates[1:]
            if not (len(parts) == 2 and len(other) == 1 and other[0] in parts)
        ]
        if others:
            raise IngestionError(
                f"{path} has several columns that may be {field}: "
                f"{', '.join([AND.join(parts), *others])}. Name one, for "
                f"example: --columns {field}="
                f"{header[folded.index(parts[0])]}"
            )
    for part in parts:
        if folded.count(part) > 1:
            raise IngestionError(
                f"{path} has the column {header[folded.index(part)]} twice; "
                f"leave one, or name it by its number: --columns {field}=NUMBER"
            )
    return tuple(folded.index(part) for part in parts)


def _names_like_volume(
    header: Sequence[str], positions: Mapping[str, tuple[int, ...]]
) -> bool:
    """Whether a column that was not recognised may be the volume."""
    taken = {place for places in positions.values() for place in places}
    return any(
        place not in taken and re.search(LIKE_VOLUME, fold(name))
        for place, name in enumerate(header)
    )


def _chosen_names(header: Sequence[str], text: str) -> list[str]:
    """Names of one column, or of two joined by a plus."""
    return [text] if text in header else text.split(AND)


def _position(path: Path, header: Sequence[str], name: str) -> int:
    """Where a column stands by its name, in any case, or its number."""
    counts = Counter(header)
    if counts[name] == 1:
        return header.index(name)
    folded = [fold(column) for column in header]
    if counts[name] == 0 and folded.count(fold(name)) == 1:
        return folded.index(fold(name))
    if name.isdecimal() and 1 <= int(name) <= len(header):
        return int(name) - 1
    found = "twice" if fold(name) in folded else "not"
    raise IngestionError(
        f"{path} has the column {name} {found}; it has {', '.join(header)}. "
        "--columns takes names, or numbers counted from 1."
    )
