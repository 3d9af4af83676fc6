"""One kind of alert: a statement, and the words for each of its rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# Group of what belongs to no timeframe.
ALL = "all"


@dataclass(frozen=True, slots=True)
class Observation:
    """What a check sees of one cause.

    Parameters
    ----------
    kind : str
    subject : str
        What it is about; tells it from others of its kind.
    group : str
        Timeframe, or `ALL`.
    severity : {"warning", "critical"}
    message : str
        What is wrong, in a sentence with the numbers.
    advice : str
        What to do, with the command.
    cause : str
        What it rests on: another one is news after it was resolved by hand.
    symbol_id : int, optional
        Of the series, where it is about one.
    """

    kind: str
    subject: str
    group: str
    severity: str
    message: str
    advice: str
    cause: str
    symbol_id: int | None = None

    @property
    def fingerprint(self) -> str:
        """What stays the same from check to check.

        Examples
        --------
        >>> Observation("drift", "AAPL d1", "d1", "critical", "", "", "")\
.fingerprint
        'drift: AAPL d1'
        """
        return f"{self.kind}: {self.subject}"


@dataclass(frozen=True, slots=True)
class Wording:
    """Words for one row of a kind's statement.

    Parameters
    ----------
    message, advice : str
        As in `Observation`.
    """

    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class AlertKind:
    """One kind of alert.

    Parameters
    ----------
    name : str
        As in the seed `alert_rules`.
    query : str
        One row per cause: `subject`, `alert_group`, `symbol_id`, `cause`, and
        what `describe` reads. Its parameters are `:now`, `:threshold` (of the
        seed) and `:schema_prefix`.
    describe : callable
        Makes the words of a row.
    """

    name: str
    query: str
    describe: Callable[[Mapping[str, Any]], Wording]


def counted(n: int, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> counted(1, "session"), counted(2, "session")
    ('1 session', '2 sessions')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
