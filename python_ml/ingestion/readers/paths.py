"""Which files a load reads, and what their paths say about the bars."""

import glob
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from python_ml.exceptions import IngestionError

PARQUET_ENDING = ".parquet"
ENDINGS = (PARQUET_ENDING, ".csv", ".csv.gz", ".txt", ".txt.gz")
FIELDS = ("symbol", "timeframe")


def find_bar_files(paths: Sequence[Path]) -> list[Path]:
    """Files that paths name, each once: files, globs and folders.

    Of a folder, all files below it whose names end as `ENDINGS`, in the order
    of their paths; hidden ones are passed over.

    Raises
    ------
    IngestionError
        If a path names nothing, or what is no plain file.
    """
    found: dict[Path, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_files_of(path)))
    return list(found)


def ending_of(path: Path) -> str | None:
    """Ending by which a file is read; None if there is none.

    Examples
    --------
    >>> ending_of(Path("AAPL.CSV.gz")), ending_of(Path("bars.xlsx"))
    ('.csv.gz', None)
    """
    name = path.name.lower()
    return next((end for end in ENDINGS[::-1] if name.endswith(end)), None)


def without_ending(path: Path) -> str:
    """Name of a file without the ending by which it is read.

    Examples
    --------
    >>> without_ending(Path("data/AAPL.csv.gz"))
    'AAPL'
    """
    ending = ending_of(path)
    return path.name.removesuffix(path.name[-len(ending) :] if ending else "")


@dataclass(frozen=True)
class PathPattern:
    """Where symbol and timeframe stand in the paths of files.

    Parameters
    ----------
    text : str
        The end of a path, such as `{symbol}/{timeframe}.csv`. `{symbol}` and
        `{timeframe}` stand for one or more characters, `*` for any number,
        none of them for a `/`. The ending can be left out.

    Examples
    --------
    >>> pattern = PathPattern("{symbol}/{timeframe}.csv")
    >>> pattern.match(Path("data/AAPL/1h.csv.gz"))
    {'symbol': 'AAPL', 'timeframe': '1h'}
    >>> PathPattern("{symbol}_*").match(Path("AAPL.csv")) is None
    True
    """

    text: str

    def __post_init__(self) -> None:
        for field in re.findall(r"{([^}]*)}?", self.text):
            if field not in FIELDS or self.text.count(f"{{{field}}}") != 1:
                raise IngestionError(
                    f"{self.text!r} is no pattern of paths: it holds "
                    f"{{{field}}}. {{symbol}} and {{timeframe}} may stand in "
                    "it, each once, and * for any characters, for example: "
                    "--path-pattern '{symbol}/{timeframe}.csv'"
                )
        if not any(f"{{{field}}}" in self.text for field in FIELDS):
            raise IngestionError(
                f"{self.text!r} is no pattern of paths: neither {{symbol}} nor "
                "{timeframe} stands in it. For example: --path-pattern "
                "'{symbol}/{timeframe}.csv'"
            )

    def match(self, path: Path) -> Mapping[str, str] | None:
        """Symbol and timeframe as the path has them; None if it differs."""
        parts = path.absolute().parts
        wanted = [part for part in self.text.split("/") if part]
        taken = [*parts[-len(wanted) : -1], without_ending(path)]
        wanted[-1] = without_ending(Path(wanted[-1]))
        found = re.fullmatch(
            "/".join(map(_as_regex, wanted)), "/".join(taken), re.IGNORECASE
        )
        return found.groupdict() if found else None


def _as_regex(part: str) -> str:
    pieces = re.split(r"({symbol}|{timeframe}|\*)", part)
    return "".join(
        "[^/]*"
        if piece == "*"
        else f"(?P<{piece[1:-1]}>[^/]+?)"
        if piece[1:-1] in FIELDS
        else re.escape(piece)
        for piece in pieces
    )


def _files_of(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from _files_below(path)
    elif path.exists() or not glob.has_magic(str(path)):
        yield _checked(path)
    else:
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise IngestionError(
                f"No file matches {str(path)!r}; see: ls {path.parent}"
            )
        for match in map(Path, matches):
            yield from (
                _files_below(match) if match.is_dir() else [_checked(match)]
            )


def _files_below(folder: Path) -> Iterator[Path]:
    n_found = 0
    for root, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in sorted(names):
            path = Path(root, name)
            if name[0] != "." and ending_of(path):
                n_found += 1
                yield _checked(path)
    if not n_found:
        raise IngestionError(
            f"Folder {folder} has no file whose name ends in "
            f"{', '.join(ENDINGS)}."
        )


def _raise(error: OSError) -> None:
    raise IngestionError(
        f"Folder {error.filename} cannot be read: {error.strerror}"
    ) from error


def _checked(path: Path) -> Path:
    """Refuse what cannot be read to an end, such as a pipe or a device."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise IngestionError(
            f"{path} cannot be read: {error.strerror}"
        ) from error
    except ValueError as error:
        raise IngestionError(f"{path!r} is no path: {error}") from error
    if not stat.S_ISREG(mode):
        raise IngestionError(
            f"{path} is no plain file; write it to one and load that."
        )
    if ending_of(path) is None:
        raise IngestionError(
            f"{path} ends in {path.suffix or 'nothing'}; only files that end "
            f"in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]} can be read."
        )
    return path
