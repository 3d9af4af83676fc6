"""The forecast of someone with no skill."""

from typing import Any

import numpy as np
import numpy.typing as npt

from python_ml.ensemble import FloatArray
from python_ml.members.base import IntArray, Member


class Climatology(Member):
    """Class shares known at fit, the same for every row.

    The series' own shares are shrunk towards those of all series by
    n_e / (n_e + k), n_e being n / h; see `shrunken_shares`.

    Examples
    --------
    >>> y = np.array([0, 1, 1, 2])
    >>> member = Climatology(prior_shares=[0.3, 0.3, 0.4])
    >>> member.fit(np.zeros((4, 1)), y).predict_proba(np.zeros((1, 1))).round(3)
    array([[0.295, 0.318, 0.386]])
    """

    def _fit(
        self,
        X: npt.NDArray[np.floating[Any]],
        y: IntArray,
        sample_weight: FloatArray | None,
    ) -> None:
        pass

    def _predict_proba(self, X: FloatArray) -> FloatArray:
        return np.tile(self.climatology_, (len(X), 1))
