"""What a page consists of: sections of blocks, each a figure or a table."""

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd

NumberKind = Literal[
    "count",
    "number",
    "signed",
    "points",
    "share",
    "skill",
    "error",
    "price",
    "seconds",
]
Kind = (
    NumberKind
    | Literal["text", "time", "date", "symbol", "version", "verdict", "json"]
)
NUMBERS: frozenset[str] = frozenset(get_args(NumberKind))
_RELATION = re.compile(r"\{(?P<schema>[a-z_]+)\}\.(?P<name>[a-z_0-9]+)")


@dataclass(frozen=True, slots=True)
class Query:
    """One `select`, with schemas in braces and values as `:symbol`.

    Parameters
    ----------
    text : str
    otherwise : Query, optional
        Asked by who may not read all of the relations, for the same columns.
    is_changed_by_jobs_alone : bool, default=False
        Whether the answer stays the same until a job changes the warehouse, so
        that a dear one need not be asked for again before.
    """

    text: str
    otherwise: "Query | None" = None
    is_changed_by_jobs_alone: bool = False

    @property
    def relations(self) -> frozenset[tuple[str, str]]:
        """Schema and name of every table and view that it reads.

        Examples
        --------
        >>> sorted(Query("select 1 from {ml}.forecasts").relations)
        [('ml', 'forecasts')]
        """
        return frozenset(
            (match["schema"], match["name"])
            for match in _RELATION.finditer(self.text)
        )

    def readable(self, relations: frozenset[tuple[str, str]]) -> "Query":
        """The query itself, or the one in its place for who reads less."""
        if self.otherwise is None or not self.relations - relations:
            return self
        return self.otherwise.readable(relations)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a reader has chosen; all of it is in the address.

    Parameters
    ----------
    symbol, timeframe, horizon : str or None
        None where the warehouse holds none.
    calendar : str or None
        Of the symbol.
    left, right : str or None
        Versions to compare.
    question : int
        Of the page of queries, from 1.
    is_audited : bool
        Whether audits, which read every row, are asked now.
    now : datetime
        The clock, for the age of bars.
    """

    symbol: str | None
    timeframe: str | None
    horizon: str | None
    calendar: str | None
    now: datetime.datetime
    left: str | None = None
    right: str | None = None
    question: int = 1
    is_audited: bool = False

    def parameters(self) -> dict[str, Any]:
        """Values that every query may name."""
        return {
            "symbol": self.symbol,
            "timeframe": self.timeframe,
            "horizon": self.horizon,
            "calendar": self.calendar,
            "left": self.left,
            "right": self.right,
        }


@dataclass(frozen=True, slots=True)
class Column:
    """How a column of a frame is shown.

    Parameters
    ----------
    heading : str
        With the unit, where there is one.
    kind : str, default="text"
        How values are written; numbers stand on the right.
    """

    heading: str
    kind: Kind = "text"

    @property
    def is_number(self) -> bool:
        """Whether it is aligned on the right."""
        return self.kind in NUMBERS


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a frame for people; the CSV holds all of them.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
    columns : mapping of str to Column
        Those to show, in order.
    caption : str
        What a row is.
    at_most : int, default=60
        Rows to show.
    """

    frame: pd.DataFrame
    columns: Mapping[str, Column]
    caption: str
    at_most: int = 60


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of Plotly's.

    Parameters
    ----------
    data : list of dict
        Traces, the uncertain ones first.
    layout : dict
    label : str
        What it shows, in a sentence, for who cannot see it.
    height : int, default=320
        In pixels.
    """

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    label: str
    height: int = 320


@dataclass(frozen=True, slots=True)
class Card:
    """One number with its name."""

    heading: str
    value: str
    note: str = ""
    tone: Literal["plain", "good", "warn"] = "plain"


@dataclass(frozen=True, slots=True)
class Block:
    """A figure with the table behind it, a table alone, or words.

    Parameters
    ----------
    title : str, optional
    figure : Figure, optional
    table : Table, optional
        Folded behind the figure if there is one.
    notes : tuple of str
        Sentences above it.
    cards : tuple of Card
    code : str, optional
        A query, with a button that copies it.
    more : tuple of (str, str), optional
        Words and the part of an address that asks for more than is shown,
        such as `audits=now`.
    """

    title: str = ""
    figure: Figure | None = None
    table: Table | None = None
    notes: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    code: str | None = None
    more: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Empty:
    """There is nothing to show, why, and the command that fills it."""

    text: str
    command: str | None = None


Frames = Mapping[str, pd.DataFrame]
Content = tuple[Block, ...] | Empty


@dataclass(frozen=True, slots=True)
class Section:
    """Part of a page: what it asks and how it shows the answer.

    Parameters
    ----------
    key : str
        Part of addresses.
    title : str
    queries : mapping of str to Query
    build : callable
        From frames by the names of the queries, and the choice.
    command : str
        Fills the relations that it reads.
    note : str
        What it is and what may be concluded.
    """

    key: str
    title: str
    queries: Mapping[str, Query]
    build: Callable[[Frames, Choice], Content]
    command: str = "swiftbolt build"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page and its address.

    Parameters
    ----------
    key : str
        Address, empty for the first page.
    title : str
    intro : str
        One sentence below the title.
    choices : tuple of str
        Which of symbol, timeframe and horizon it offers.
    sections : callable
        The sections for a choice.
    """

    key: str
    title: str
    intro: str
    choices: tuple[str, ...]
    sections: Callable[[Choice], tuple[Section, ...]]
