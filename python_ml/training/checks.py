"""Refuse rows from which nothing can be learnt, with the way out."""

from collections.abc import Sequence

import numpy as np

from python_ml.ensemble import CLASSES
from python_ml.examples.arrays import (
    FIT,
    SPLIT_PARTS,
    HorizonExamples,
)
from python_ml.exceptions import NotEnoughDataError
from python_ml.scoring.requirements import (
    MIN_FIT_ROWS,
    MIN_VALIDATION_ROWS,
)


def check_examples(
    rows: HorizonExamples, *, feature_names: Sequence[str], what: str
) -> None:
    """Refuse rows from which nothing can be learnt.

    Raises
    ------
    NotEnoughDataError
        Too few rows, a class that is missing from `fit`, NaN, or features
        that are all constant.
    """
    for part, n_needed in (
        ("fit", MIN_FIT_ROWS),
        ("validation", MIN_VALIDATION_ROWS),
    ):
        found = rows.count(SPLIT_PARTS[part])
        if found < n_needed:
            raise NotEnoughDataError(
                f"{what} has {found} rows to {_VERBS[part]} on and needs "
                f"{n_needed}. Load more bars or use a later --as-of; why rows "
                "are missing stands in features.feature_rows "
                "(unusable_reason)."
            )
    bad = ~np.isfinite(rows.X)
    if bad.any():
        column = int(bad.any(axis=0).argmax())
        raise NotEnoughDataError(
            f"{what}: feature {feature_names[column]} is NaN or infinite in "
            f"{int(bad[:, column].sum())} of {len(rows.X)} rows that count as "
            "usable. Run: swiftbolt validate"
        )
    if not np.isfinite(rows.moves).all():
        raise NotEnoughDataError(
            f"{what}: label_return / expected_volatility is not finite in "
            f"{int((~np.isfinite(rows.moves)).sum())} rows. Run: swiftbolt "
            "validate"
        )
    X = rows.X[rows.split_parts == FIT]
    if not np.ptp(X, axis=0).any():
        raise NotEnoughDataError(
            f"{what}: every feature is constant over the {len(X)} rows to fit "
            "on, so there is nothing to learn from. Check the bars: swiftbolt "
            "validate"
        )
    counts = np.bincount(
        rows.y[rows.split_parts == FIT], minlength=len(CLASSES)
    )
    if (counts == 0).any():
        shares = ", ".join(
            f"{count} {label}"
            for label, count in zip(CLASSES, counts, strict=True)
        )
        raise NotEnoughDataError(
            f"{what} has {shares} among its rows to fit on; every class is "
            "needed. Widen the rule in the seed label_rules or use another "
            "--as-of."
        )


_VERBS = {"fit": "fit", "validation": "validate"}
