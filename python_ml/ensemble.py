"""What one trained version holds: members and weights for each horizon.

Everything here is plain data and numpy, so that an artifact can be read
without a database. Rows of `X` are feature rows, columns the features in the
order of `Ensemble.feature_names`; probabilities are always three columns in
the order of `CLASSES`.
"""

import pickle
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from python_ml.exceptions import ArtifactError, FeatureMismatchError

CLASSES = ("BEARISH", "NEUTRAL", "BULLISH")
NEUTRAL = CLASSES.index("NEUTRAL")
BULLISH = CLASSES.index("BULLISH")
BAND_LEVELS = (0.5, 0.8, 0.95)
RANGE_MARGIN = 0.1

FloatArray = npt.NDArray[np.float64]


class FittedMember(Protocol):
    """An estimator that yields probabilities of `CLASSES`."""

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Probabilities, shape (n_samples, 3), rows summing to 1."""
        ...


def divide_moves(P: FloatArray, climatology: FloatArray) -> FloatArray:
    """Divide moves between BEARISH and BULLISH as a climatology does.

    Parameters
    ----------
    P : ndarray of shape (n_samples, 3)
        Probabilities, of which NEUTRAL is kept.
    climatology : ndarray of shape (3,)
        Class shares.

    Returns
    -------
    ndarray of shape (n_samples, 3)

    Examples
    --------
    >>> P = np.array([[0.25, 0.5, 0.25]])
    >>> divide_moves(P, np.array([0.2, 0.4, 0.4])).round(3).tolist()
    [[0.167, 0.5, 0.333]]
    """
    up = climatology[BULLISH] / (1 - climatology[NEUTRAL])
    move = 1 - P[:, NEUTRAL]
    return np.column_stack([move * (1 - up), P[:, NEUTRAL], move * up])


@dataclass(frozen=True)
class PooledArtifact:
    """A member that was fitted once for all series of a timeframe and horizon.

    Parameters
    ----------
    pooled_member_id : str
        Name of the artifact without its suffix.
    member : str
        Name in the roster.
    horizon : str
        For example `5d`.
    deployed : FittedMember
        Fitted on the whole window.
    judged : FittedMember
        Fitted on `fit` alone; what weights and scores rest on.
    feature_names : tuple of str
        Columns of `X`, in order.
    metadata : mapping
        Cut and fingerprints, for people.
    """

    pooled_member_id: str
    member: str
    horizon: str
    deployed: FittedMember
    judged: FittedMember
    feature_names: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PooledMember:
    """What one series' ensemble keeps of a pooled member: a reference.

    The member itself is an artifact of its own, bound when the ensemble is
    loaded; whether price will move is said by it, where to by the series'
    climatology.

    Parameters
    ----------
    pooled_member_id : str
        Name of the artifact without its suffix.
    sha256 : str
        Of the artifact's bytes.
    climatology : ndarray of shape (3,)
        Of the series.
    member : FittedMember, optional
        Bound; never pickled.
    """

    pooled_member_id: str
    sha256: str
    climatology: FloatArray
    member: FittedMember | None = field(default=None, repr=False, compare=False)

    def bind(self, member: FittedMember) -> Self:
        """The same reference with the member it refers to."""
        return replace(self, member=member)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "member": None}

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Probabilities for one series, shape (n_samples, 3).

        Raises
        ------
        ArtifactError
            If nothing is bound.
        """
        if self.member is None:
            raise ArtifactError(
                f"Pooled member {self.pooled_member_id} is not bound; load the "
                "ensemble with python_ml.registry.artifacts.load_ensemble."
            )
        return divide_moves(self.member.predict_proba(X), self.climatology)


@dataclass(frozen=True)
class PackedMember:
    """A fitted member as bytes, unpacked when it is first asked.

    Trees are thousands of small objects. They are pickled once, in the process
    that fitted them, and stand in an artifact like that, under its checksum.

    Parameters
    ----------
    packed : bytes
        Pickled and compressed.
    """

    packed: bytes = field(repr=False)

    @classmethod
    def pack(cls, member: FittedMember) -> Self:
        """A fitted member, packed."""
        pickled = pickle.dumps(member, protocol=pickle.HIGHEST_PROTOCOL)
        return cls(zlib.compress(pickled, level=1))

    @cached_property
    def member(self) -> FittedMember:
        """What was packed."""
        unpacked: FittedMember = pickle.loads(zlib.decompress(self.packed))
        return unpacked

    def __getstate__(self) -> dict[str, Any]:
        return {"packed": self.packed}

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Probabilities of the member, shape (n_samples, 3)."""
        return self.member.predict_proba(X)


@dataclass(frozen=True)
class MemberPredictions:
    """What members fitted on `fit` said about the validation rows.

    Weights, their score in time order and later decisions need nothing else,
    so it is kept with the version.

    Parameters
    ----------
    member_names : tuple of str
        In the order of axis 1 of `probabilities`.
    probabilities : ndarray of shape (n_samples, n_members, 3)
        Of members fitted on `fit` rows only; no NaN.
    y : ndarray of int of shape (n_samples,)
        Positions of the labels in `CLASSES`.
    climatology : ndarray of shape (3,)
        Class shares known at fit.
    closed_at : ndarray of datetime64[us] of shape (n_samples,)
        When each row became knowable, UTC, ascending.
    label_end_at : ndarray of datetime64[us] of shape (n_samples,)
        When its label became knowable.
    prior_weights : tuple of float, optional
        What the members were given before any evidence; None for equal
        weights.
    """

    member_names: tuple[str, ...]
    probabilities: FloatArray
    y: npt.NDArray[np.int64]
    climatology: FloatArray
    closed_at: npt.NDArray[np.datetime64]
    label_end_at: npt.NDArray[np.datetime64]
    prior_weights: tuple[float, ...] | None = None


@dataclass(frozen=True)
class HorizonEnsemble:
    """Fitted members and their weights for one horizon of one series.

    Parameters
    ----------
    horizon : str
        As in the seed `horizons`, for example `5d`.
    horizon_bars : int
        The same span in grid bars.
    members : mapping of str to FittedMember
        Fitted members by name, in roster order.
    weights : mapping of str to float
        One weight per member: non-negative, summing to 1.
    climatology : ndarray of shape (3,)
        Class shares of the window, shrunk towards all series': the forecast
        of someone with no skill.
    baseline_accuracy : float
        Accuracy over the scored validation rows of always naming
        climatology's largest class.
    validation : MemberPredictions, optional
        What the weights were fitted on.
    feature_ranges : ndarray of shape (2, n_features), optional
        Lowest and highest value of each feature in the window; None of a
        version from before they were kept.
    """

    horizon: str
    horizon_bars: int
    members: Mapping[str, FittedMember]
    weights: Mapping[str, float]
    climatology: FloatArray
    baseline_accuracy: float
    validation: MemberPredictions | None = None
    feature_ranges: FloatArray | None = None

    def n_beyond(self, X: FloatArray) -> npt.NDArray[np.int64]:
        """Features of each row that lie outside the range trained on.

        A tenth of the range beyond its ends is not outside; none is outside
        where the range is not known.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)

        Returns
        -------
        ndarray of int of shape (n,)
        """
        if self.feature_ranges is None:
            return np.zeros(len(X), dtype=np.int64)
        lowest, highest = self.feature_ranges
        margin = RANGE_MARGIN * (highest - lowest)
        beyond: npt.NDArray[np.int64] = (
            (lowest - margin > X) | (highest + margin < X)
        ).sum(axis=1)
        return beyond

    def member_probabilities(self, X: FloatArray) -> dict[str, FloatArray]:
        """Probabilities of each member, by name, each of shape (n, 3)."""
        return {
            name: member.predict_proba(X)
            for name, member in self.members.items()
        }

    def combine(self, probabilities: Mapping[str, FloatArray]) -> FloatArray:
        """Weighted mean of the members' probabilities, shape (n, 3).

        Parameters
        ----------
        probabilities : mapping of str to ndarray of shape (n, 3)
            What `member_probabilities` returned. Members of weight 0 may be
            absent.
        """
        mixture = sum(
            weight * probabilities[name]
            for name, weight in self.weights.items()
            if weight > 0
        )
        combined: FloatArray = mixture / np.sum(mixture, axis=1, keepdims=True)
        return combined

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Probabilities of the ensemble, shape (n, 3), rows summing to 1."""
        return self.combine(
            {
                name: self.members[name].predict_proba(X)
                for name, weight in self.weights.items()
                if weight > 0
            }
        )


@dataclass(frozen=True)
class Ensemble:
    """An immutable version: the horizon ensembles of one series.

    Parameters
    ----------
    version_id : str
        Name of the artifact without its suffix.
    symbol_id : int
        Key of `raw.symbols`.
    ticker : str
        For example `AAPL`.
    timeframe : str
        For example `d1`.
    as_of : datetime
        UTC; nothing that closed later was used.
    feature_names : tuple of str
        Columns of `X`, in order.
    horizons : mapping of str to HorizonEnsemble
        By horizon, shortest first.
    metadata : mapping
        Cut, fingerprints, code and library versions, for people.
    """

    version_id: str
    symbol_id: int
    ticker: str
    timeframe: str
    as_of: datetime
    feature_names: tuple[str, ...]
    horizons: Mapping[str, HorizonEnsemble]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def check_features(self, feature_names: Sequence[str]) -> None:
        """Compare the features at hand with those trained on.

        Raises
        ------
        FeatureMismatchError
            If a feature is missing, new or in another place.
        """
        found = tuple(feature_names)
        if found == self.feature_names:
            return
        missing = [name for name in self.feature_names if name not in found]
        added = [name for name in found if name not in self.feature_names]
        differences = [
            f"{what}: {', '.join(names)}"
            for what, names in (("missing", missing), ("new", added))
            if names
        ] or ["the order differs"]
        raise FeatureMismatchError(
            f"Ensemble {self.version_id} was trained on other features than "
            f"features.feature_rows has now ({'; '.join(differences)}). Train "
            f"again: swiftbolt train --symbols {self.ticker} --timeframes "
            f"{self.timeframe}"
        )
