"""Text files as blocks of whole lines, whatever their encoding."""

import codecs
import contextlib
import gzip
import io
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from python_ml.exceptions import IngestionError

# Some 100,000 bars: enough that a block's own cost is nothing.
BLOCK_CHARACTERS = 8 << 20
SAMPLE_BYTES = 1 << 16
# No bar is so long; what is becomes a row that cannot be told into columns.
LONGEST_LINE = 10_000
# What stands where a file holds bytes that are no text.
NOT_TEXT = "\ufffd"
# PostgreSQL has no NUL in text: its picture is kept instead.
PICTURE_OF_NUL = "\u2400"
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@contextlib.contextmanager
def failures_explained(path: Path) -> Iterator[None]:
    """Say of a file that it breaks off or is none of its kind."""
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise IngestionError(
            f"{path} cannot be read: {' '.join(reason.split())}"
        ) from error


def find_encoding(path: Path) -> str:
    """Encoding of a text file: UTF-16 by its mark or its zeros, else UTF-8."""
    with _open(path) as file:
        start = file.read(SAMPLE_BYTES)
    for mark, encoding in MARKS:
        if start.startswith(mark):
            return encoding
    even, odd = start[::2], start[1::2]
    if len(start) >= 16:
        # Every second byte of Latin text in UTF-16 is zero.
        if odd.count(0) > 0.9 * len(odd) and even.count(0) < 0.1 * len(even):
            return "utf-16-le"
        if even.count(0) > 0.9 * len(even) and odd.count(0) < 0.1 * len(odd):
            return "utf-16-be"
    return "utf-8"


def read_blocks(path: Path, encoding: str) -> Generator[list[str], None, None]:
    """Lines of a text file, without their ends, block by block.

    Of a file that is being read, never more than a block is in memory. A
    newline ends a line wherever it stands. Lines with a quote that is never
    closed, or longer than `LONGEST_LINE`, are changed so that they cannot be
    taken for a row.

    Raises
    ------
    OSError, EOFError
        If the file cannot be read to its end.
    """
    with io.TextIOWrapper(
        _open(path), encoding=encoding, errors="replace", newline=None
    ) as file:
        rest = ""
        while True:
            block = file.read(BLOCK_CHARACTERS)
            if not block:
                break
            lines = (rest + block).split("\n")
            rest = lines.pop()
            if len(rest) > LONGEST_LINE:
                # One line as long as the file would grow without end.
                rest = rest[: LONGEST_LINE + 1]
            yield _cleaned(lines, block)
        if rest:
            yield _cleaned([rest], rest)


def _open(path: Path) -> IO[bytes]:
    if path.name.lower().endswith(".gz"):
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def _cleaned(lines: list[str], block: str) -> list[str]:
    """Lines that CSV readers cannot misunderstand."""
    if "\x00" in block:
        lines = [line.replace("\x00", PICTURE_OF_NUL) for line in lines]
    if '"' in block:
        lines = [
            line.replace('"', NOT_TEXT) if line.count('"') % 2 else line
            for line in lines
        ]
    if max(map(len, lines), default=0) > LONGEST_LINE:
        lines = [
            line[:200] + NOT_TEXT if len(line) > LONGEST_LINE else line
            for line in lines
        ]
    return lines
