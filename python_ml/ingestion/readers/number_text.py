"""Numbers as people and vendors write them, read as numbers are written here.

`1,234.5`, `1.234,5`, `1 234,5` and `1'234.5` are the same number; `1,234` is
one of two. Which, is decided for a file as a whole by what else is in it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

POINT, COMMA = "point", "comma"
MARKS = {POINT: ".", COMMA: ","}
# Between thousands, beside the mark that is not the decimal one.
SPACES = r" '\x{2019}\x{00a0}\x{202f}\x{2009}"
CURRENCIES = r"$\x{20ac}\x{00a3}\x{00a5}"
TELLING = rf"[,{SPACES}{CURRENCIES}]|\..*\."
# What says that a comma, or a point, stands before decimals: it stands beside
# the other mark, or where no thousands can end.
DECIMAL_COMMA = (
    rf"^[+-]?(?:\d{{1,3}}(?:[.{SPACES}]\d{{3}})+,\d+"
    r"|\d*,(?:\d{1,2}|\d{4,})|\d{4,},\d+|0\d*,\d+|\d{1,3}(?:\.\d{3}){2,})$"
)
DECIMAL_POINT = (
    rf"^[+-]?(?:\d{{1,3}}(?:[,{SPACES}]\d{{3}})+\.\d*"
    r"|\d*\.(?:\d{1,2}|\d{4,})?|\d{4,}\.\d+|0\d*\.\d+|\d{1,3}(?:,\d{3}){2,})$"
)
# Either mark, before three digits.
UNDECIDED = r"^[+-]?[1-9]\d{0,2},\d{3}$"
# So few that go against the others are faults of their own.
SHARE_OF_FAULTS = 0.1


class AmbiguousNumbersError(ValueError):
    """Numbers that can be read in two ways; the message is an example."""


@dataclass(frozen=True)
class NumberNotation:
    """How numbers of a file are written.

    Parameters
    ----------
    decimal : {"point", "comma"}
        What stands before decimals; the other, a space or an apostrophe may
        stand between thousands.
    """

    decimal: str = POINT

    def read(self, text: pa.ChunkedArray) -> pa.ChunkedArray:
        """Write numbers with a point and without thousands.

        What is no number in this notation stays as it is, unless it would be
        taken for one: then a note is added to it.
        """
        telling = TELLING if self.decimal == POINT else r"[.,]|" + TELLING
        is_telling = pc.match_substring_regex(text, telling)
        if not pc.any(is_telling).as_py():
            return text
        trimmed = _without_currency(text)
        mark = re.escape(MARKS[self.decimal])
        thousands = re.escape(MARKS[COMMA if self.decimal == POINT else POINT])
        pattern = (
            rf"^[+-]?(?:\d{{1,3}}(?:[{thousands}{SPACES}]\d{{3}})+|\d*)"
            rf"(?:{mark}\d*)?(?:[eE][+-]?\d+)?$"
        )
        plain = pc.replace_substring_regex(
            trimmed, f"[{thousands}{SPACES}]", ""
        )
        if self.decimal == COMMA:
            plain = pc.replace_substring(plain, ",", ".")
        is_number = pc.match_substring_regex(trimmed, pattern)
        other = text
        if self.decimal == COMMA:
            other = pc.binary_join_element_wise(text, "(no comma)", " ")
        read = pc.if_else(is_number, plain, other)
        return pc.if_else(is_telling, read, text)


def find_number_notation(columns: Sequence[pa.ChunkedArray]) -> NumberNotation:
    """Find out how numbers are written.

    Parameters
    ----------
    columns : sequence of ChunkedArray of shape (n,)
        Text of prices and volumes.

    Raises
    ------
    AmbiguousNumbersError
        If they can be read in two ways.
    """
    marked = [
        _without_currency(column)
        for column in columns
        if pc.any(pc.match_substring_regex(column, TELLING)).as_py()
    ]
    if not marked:
        return NumberNotation(POINT)
    n_comma = sum(_count(column, DECIMAL_COMMA) for column in marked)
    n_point = sum(_count(column, DECIMAL_POINT) for column in columns)
    fewer, more = sorted((n_comma, n_point))
    if fewer > SHARE_OF_FAULTS * more:
        raise AmbiguousNumbersError(_example(marked, DECIMAL_COMMA))
    if not more and any(_count(column, UNDECIDED) for column in marked):
        raise AmbiguousNumbersError(_example(marked, UNDECIDED))
    return NumberNotation(COMMA if n_comma > n_point else POINT)


def _without_currency(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers without outer space and the sign of their currency."""
    return pc.replace_substring_regex(
        pc.utf8_trim_whitespace(text),
        rf"^([+-]?)[{CURRENCIES}] ?([\d.,])|([\d.,]) ?[{CURRENCIES}]$",
        r"\1\2\3",
    )


def _count(text: pa.ChunkedArray, pattern: str) -> int:
    return int(pc.sum(pc.match_substring_regex(text, pattern)).as_py() or 0)


def _example(columns: Sequence[pa.ChunkedArray], pattern: str) -> str:
    return next(
        str(found[0].as_py())
        for text in columns
        if len(found := text.filter(pc.match_substring_regex(text, pattern)))
    )
