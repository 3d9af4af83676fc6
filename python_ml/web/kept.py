"""What is kept between readers: pages, and the answers that they are made of.

Both hold under one state of the warehouse, which changes with every job. What
no job changes, such as an alert that is answered, is seen when they have grown
old: after a minute, or an hour for answers that jobs alone change.
"""

import datetime
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic, TypeVar

import pandas as pd

from python_ml.warehouse.snapshot import SnapshotReader
from python_ml.web.content import Query

SHORT_SECONDS = 60
LONG_SECONDS = 3600
PAGES_BYTES = 12 << 20
ANSWERS_BYTES = 24 << 20
# A number and its share of an index, or a short text.
VALUE_BYTES = 48
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)\b")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class State:
    """What jobs have done to the warehouse.

    Parameters
    ----------
    name : str
        Another one after every start and end of a job.
    is_changing : bool, default=False
        Whether the warehouse may change under one name: a job runs, or the
        login does not see the jobs.
    """

    name: str
    is_changing: bool = False


@dataclass
class Kept(Generic[Value]):
    """Values by key, the least used ones dropped first.

    Parameters
    ----------
    max_bytes : int
        Of all values together.
    """

    max_bytes: int
    _values: OrderedDict[Hashable, tuple[str, float, int, Value]] = field(
        default_factory=OrderedDict
    )
    _bytes: int = 0
    _lock: Lock = field(default_factory=Lock)

    def get(self, key: Hashable, state: State) -> Value | None:
        """The value if it is of this state of the warehouse and not too old."""
        with self._lock:
            if (kept := self._values.get(key)) is None:
                return None
            name, until, _, value = kept
            if name != state.name or time.monotonic() > until:
                return None
            self._values.move_to_end(key)
            return value

    def put(
        self,
        key: Hashable,
        state: State,
        value: Value,
        *,
        n_bytes: int,
        seconds: float = SHORT_SECONDS,
    ) -> None:
        """Keep a value for some seconds."""
        with self._lock:
            if key in self._values:
                self._bytes -= self._values.pop(key)[2]
            until = time.monotonic() + seconds
            self._values[key] = (state.name, until, n_bytes, value)
            self._bytes += n_bytes
            while self._bytes > self.max_bytes and self._values:
                self._bytes -= self._values.popitem(last=False)[1][2]


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, and the time at which they were read."""

    frame: pd.DataFrame
    read_at: datetime.datetime


@dataclass
class KeptAnswers:
    """Answers by query and the values that it names.

    Pages and symbols share them. Of readers who ask the same at once, one asks
    the warehouse and the others wait.

    Parameters
    ----------
    clock : callable
        The time now, in UTC.
    max_bytes : int, default=24 MB
        Of all answers together.
    """

    clock: Callable[[], datetime.datetime]
    max_bytes: int = ANSWERS_BYTES
    _turns: dict[Hashable, Lock] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._kept: Kept[Answer] = Kept(self.max_bytes)

    def answer(
        self,
        key: Hashable,
        state: State,
        ask: Callable[[], pd.DataFrame],
        *,
        seconds: float = SHORT_SECONDS,
    ) -> Answer:
        """What is kept, or else what `ask` returns; its errors are raised."""
        if (kept := self._kept.get(key, state)) is not None:
            return kept
        with self._lock:
            turn = self._turns.setdefault(key, Lock())
        with turn:
            if (kept := self._kept.get(key, state)) is not None:
                return kept
            try:
                read_at = self.clock()
                found = Answer(ask(), read_at)
                self._kept.put(
                    key,
                    state,
                    found,
                    # Values of pages are short; counting them costs more.
                    n_bytes=VALUE_BYTES * found.frame.size,
                    seconds=seconds,
                )
            finally:
                with self._lock:
                    self._turns.pop(key, None)
        return found


class KeptReader:
    """Reads a snapshot through what is kept.

    Parameters
    ----------
    snapshot : SnapshotReader
        Asked where nothing is kept.
    answers : KeptAnswers
    state : State
        Of the warehouse as the snapshot sees it.

    Attributes
    ----------
    oldest_at : datetime or None
        When the oldest of the answers given was read.
    """

    def __init__(
        self, snapshot: SnapshotReader, answers: KeptAnswers, state: State
    ) -> None:
        self.snapshot = snapshot
        self.answers = answers
        self.state = state
        self.oldest_at: datetime.datetime | None = None

    def read(
        self, query: Query, parameters: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """The answer of a query; values that it does not name are ignored."""
        named = set(_PARAMETER.findall(query.text))
        values = {
            name: value
            for name, value in (parameters or {}).items()
            if name in named
        }
        is_lasting = query.is_changed_by_jobs_alone
        found = self.answers.answer(
            (query.text, *sorted(values.items())),
            self.state,
            lambda: self.snapshot.read(query.text, values),
            seconds=LONG_SECONDS
            if is_lasting and not self.state.is_changing
            else SHORT_SECONDS,
        )
        if self.oldest_at is None or found.read_at < self.oldest_at:
            self.oldest_at = found.read_at
        return found.frame
