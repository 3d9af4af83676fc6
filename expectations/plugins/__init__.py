"""Expectations of our own.

Great Expectations finds a class only once it is imported: a suite that names
one it does not know loads without it and passes. So import this package before
a suite is loaded.
"""

from expectations.plugins import (
    bars,
    example_counts,
    feature_rows,
    grain,
    labels,
    training_examples,
)

__all__ = [
    "bars",
    "example_counts",
    "feature_rows",
    "grain",
    "labels",
    "training_examples",
]
