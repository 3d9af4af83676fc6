"""The last look at a cut before anything is learnt under it."""

from datetime import UTC, datetime

import numpy as np

from python_ml.examples.arrays import (
    FIT,
    TimeArray,
)
from python_ml.exceptions import LeakageError
from python_ml.members.base import IntArray


def check_cut(
    label_end_at: TimeArray,
    split_parts: IntArray,
    *,
    fit_labels_end_before: datetime,
    as_of: datetime,
    what: str,
) -> None:
    """Refuse rows that the cut does not allow, whoever let them through.

    Parameters
    ----------
    label_end_at : ndarray of datetime64[us] of shape (n_samples,)
        When each label was known, UTC.
    split_parts : ndarray of int of shape (n_samples,)
        `FIT`, `VALIDATION` or `PURGED`.
    fit_labels_end_before, as_of : datetime
        Of the cut.
    what : str
        For messages.

    Raises
    ------
    LeakageError
        If a label of `fit` ends within the embargo or later, or any label
        after the as-of time.
    """
    if len(label_end_at) == 0:
        return
    boundary, known = _utc(fit_labels_end_before), _utc(as_of)
    crossing = int(((split_parts == FIT) & (label_end_at >= boundary)).sum())
    unknown = int((label_end_at > known).sum())
    if crossing or unknown:
        raise LeakageError(
            f"{what}: {crossing} rows to fit on have labels that end at or "
            f"after {boundary}, where the cut ends fit, and {unknown} rows "
            f"have labels that ended after the as-of time {known}. Nothing was "
            "trained. Find them in leakage_audit: swiftbolt build"
        )


def _utc(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
