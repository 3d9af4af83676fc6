"""Note when members' `fit` and `predict_proba` begin and end.

Python imports this by itself where its folder is on `PYTHONPATH`, so that a
training and its worker processes are clocked as they are. Each process appends
to a file of its own in the folder `ESTIMATOR_CLOCK_FOLDER`: begin and end on
the clock that all processes share, processor time, and what it was.
"""

import functools
import importlib.abc
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

CLOCKED_MODULE = "python_ml.members.base"
CLOCKED_METHODS = ("fit", "predict_proba")
FOLDER_VARIABLE = "ESTIMATOR_CLOCK_FOLDER"


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the module of members like any other and clocks it once loaded."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != CLOCKED_MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_clock(module: ModuleType) -> None:
            load(module)
            for name in CLOCKED_METHODS:
                method = getattr(module.Member, name)
                setattr(module.Member, name, _clocked(method))

        vars(spec.loader)["exec_module"] = load_and_clock
        return spec


def _clocked(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def clocked(*arguments: Any, **options: Any) -> Any:
        begin, used = time.monotonic(), time.process_time()
        try:
            return method(*arguments, **options)
        finally:
            used = time.process_time() - used
            _note(f"{begin} {time.monotonic()} {used} {method.__name__}")

    return clocked


def _note(line: str) -> None:
    path = Path(os.environ[FOLDER_VARIABLE]) / str(os.getpid())
    with path.open("a") as file:
        file.write(f"{line}\n")


if FOLDER_VARIABLE in os.environ:
    sys.meta_path.insert(0, _Finder())
