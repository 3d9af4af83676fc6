"""Progress bars for people."""

import sys
import time
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

# Shorter work shows no bar.
DELAY_SECONDS = 2.0


def progress(
    iterable: Iterable[T], *, total: int | None, description: str
) -> "tqdm[T]":
    """Show a bar on stderr while iterating.

    Only when stderr is a terminal and only once two seconds have passed, so a
    pipe, a log file or a test sees nothing.

    Parameters
    ----------
    iterable : iterable
    total : int or None
        Number of items, if known.
    description : str
        Stands before the bar.

    Examples
    --------
    >>> [n for n in progress(range(3), total=3, description="counting")]
    [0, 1, 2]
    """
    bar: tqdm[T] = _PatientBar(iterable, **_options(total, description))
    return bar


def progress_bar(*, total: int | None, description: str) -> "tqdm[Any]":
    """Give such a bar to a caller who moves it with `update`.

    Examples
    --------
    >>> with progress_bar(total=2, description="moving") as bar:
    ...     _ = bar.update(2)
    """
    return _PatientBar(**_options(total, description))


class _PatientBar(tqdm):  # type: ignore[type-arg]
    """Keeps to the delay also when a log line is printed meanwhile."""

    def refresh(self, *arguments: Any, **options: Any) -> Any:
        if time.time() < self.start_t + (self.delay or 0.0):
            return None
        return super().refresh(*arguments, **options)


def _options(total: int | None, description: str) -> dict[str, Any]:
    return {
        "total": total,
        "desc": description,
        "delay": DELAY_SECONDS,
        "leave": False,
        "file": sys.stderr,
        "disable": not sys.stderr.isatty(),
        "dynamic_ncols": True,
    }
