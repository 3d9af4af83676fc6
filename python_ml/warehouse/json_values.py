"""Values as JSON that the database takes."""

import datetime
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def to_json(value: Any) -> str:
    """Write a value as JSON that `jsonb` takes.

    NumPy scalars and arrays become numbers and lists, times ISO 8601, and
    what is not finite, for which JSON has no number, null.

    Examples
    --------
    >>> to_json({"skill": np.float64(0.5), "error": float("nan")})
    '{"skill": 0.5, "error": null}'
    """
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return value
