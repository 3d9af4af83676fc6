"""Members of few trees, for tests of what is done with members.

Most of a training goes into growing trees. Where a test asks what is recorded,
kept, refused or resumed, a tenth of them answers as well, in a third of the
time. Only this process has them: what a command of its own trains is not to be
compared with it.
"""

import contextlib
from collections.abc import Iterator

import pytest

from python_ml.members import (
    gradient_boosting,
    pooled_gradient_boosting,
    random_forest,
    settings,
)

FEW = {
    "FOREST_TREES": (random_forest, 10),
    "BOOSTING_ROUNDS": (gradient_boosting, 6),
    "POOLED_ROUNDS": (pooled_gradient_boosting, 10),
}


@contextlib.contextmanager
def few_trees() -> Iterator[None]:
    """Let what this process trains meanwhile be small.

    The settings change with the members, so that fingerprints tell both kinds
    apart.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, (member, few) in FEW.items():
            patch.setattr(settings, name, few)
            patch.setattr(member, name, few)
        yield
