"""Rejected rows, as `raw.rejected_bars` keeps them."""

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from python_ml.ingestion.screening.values import storable, storable_text


def rejected_rows(
    rows: pd.DataFrame,
    reasons: "pd.Series[str]",
    *,
    source: str,
    rejected_at: datetime,
    source_names: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Rows for `raw.rejected_bars`.

    The hash is over source, reason and row, and counts equal rows of a load
    apart: loading them again adds nothing, and none hides another.

    Parameters
    ----------
    rows : DataFrame
        `Load.bars` or `Load.adjustments`.
    reasons : Series of str
        On the index of the rows of `rows` that are rejected.
    source : str
        Name of the source.
    rejected_at : datetime
        With a time zone.
    source_names : mapping of str to str, optional
        What the source calls the columns.
    """
    rejected = rows.loc[reasons.index]
    numbers: list[int | None] = [None] * len(rejected)
    if "source_row_number" in rejected:
        numbers = [int(number) for number in rejected["source_row_number"]]
        rejected = rejected.drop(columns="source_row_number")
    source_rows = _as_records(rejected.rename(columns=dict(source_names or {})))
    frame = pd.DataFrame(
        {
            "batch_source": source,
            "ticker": storable_text(rejected["ticker"]),
            "timeframe": (
                storable_text(rejected["timeframe"])
                if "timeframe" in rejected
                else None
            ),
            "reason": reasons,
            "source_row": source_rows,
            "source_row_number": pd.array(numbers, dtype="Int64"),
            "text": [json.dumps(row, sort_keys=True) for row in source_rows],
            "rejected_at": rejected_at,
        },
        index=rejected.index,
    )
    occurrence = frame.groupby(["reason", "text"]).cumcount()
    frame["row_hash"] = [
        hashlib.sha256(
            json.dumps([source, reason, text, int(number)]).encode()
        ).hexdigest()
        for reason, text, number in zip(
            frame["reason"], frame["text"], occurrence, strict=True
        )
    ]
    return frame.drop(columns="text")


def _as_records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON objects; missing text and times are null."""
    plain = {
        str(name): values
        if pd.api.types.is_numeric_dtype(values.dtype) or values.dtype == object
        else values.astype(object).where(values.notna(), None)
        for name, values in rows.items()
    }
    return [
        {name: _as_json(value) for name, value in zip(plain, row, strict=True)}
        for row in zip(*plain.values(), strict=True)
    ]


def _as_json(value: Any) -> Any:
    """A value that JSON can hold: what it cannot is kept as text."""
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (bool, int, float)):
        return value
    return storable(str(value))
