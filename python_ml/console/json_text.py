"""Values as JSON."""

import datetime
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def to_json(value: Any) -> str:
    """Write a value as JSON that `jsonb` takes, as `to_plain` makes it.

    Examples
    --------
    >>> to_json({"skill": np.float64(0.5), "error": float("nan")})
    '{"skill": 0.5, "error": null}'
    """
    return json.dumps(to_plain(value), allow_nan=False)


def to_plain(value: Any) -> Any:
    """Turn a value into one of types that JSON knows.

    NumPy scalars and arrays become numbers and lists, times ISO 8601, and
    what is not finite, for which JSON has no number, None.

    Examples
    --------
    >>> to_plain({"on": datetime.date(2012, 6, 29), "weights": (0.25, 0.75)})
    {'on': '2012-06-29', 'weights': [0.25, 0.75]}
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return value
