"""The members of an ensemble, one file each, and the roster of them.

To add one: write a `Member` in a file of its own, add it to `ROSTER` and, with
the share it is taken to deserve before any evidence, to the seed `roster`.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from python_ml.ensemble import FloatArray
from python_ml.exceptions import SettingsError
from python_ml.members import settings
from python_ml.members.base import Member
from python_ml.members.climatology import Climatology
from python_ml.members.gradient_boosting import GradientBoosting
from python_ml.members.pooled_gradient_boosting import PooledGradientBoosting
from python_ml.members.pooled_logistic_regression import (
    PooledLogisticRegression,
)
from python_ml.members.random_forest import RandomForest

CLIMATOLOGY = "climatology"


@dataclass(frozen=True)
class RosterEntry:
    """A member that may be part of an ensemble.

    Parameters
    ----------
    member : type of Member
        Made anew for every series and horizon.
    is_learned : bool
        Whether it uses features; climatology does not.
    is_pooled : bool, default=False
        Whether it is fitted once for all series of a timeframe and horizon.
    half_weight_labels : float, default=0
        Of a pooled member: labels at which it has half of its prior weight.
    """

    member: type[Member]
    is_learned: bool
    is_pooled: bool = False
    half_weight_labels: float = 0.0

    def prior_share(self, n_labels: float) -> float:
        """Share of its prior weight that a pool of so many labels earns.

        N / (N + k) for N = n / h labels of all series, k being
        `half_weight_labels`: what is slow to learn starts with less where
        there is little to learn from.
        """
        return n_labels / (n_labels + self.half_weight_labels)


ROSTER = {
    CLIMATOLOGY: RosterEntry(Climatology, is_learned=False),
    "random_forest": RosterEntry(RandomForest, is_learned=True),
    "gradient_boosting": RosterEntry(GradientBoosting, is_learned=True),
    "pooled_gradient_boosting": RosterEntry(
        PooledGradientBoosting,
        is_learned=True,
        is_pooled=True,
        half_weight_labels=settings.POOLED_BOOSTER_HALF_WEIGHT_LABELS,
    ),
    "pooled_logistic_regression": RosterEntry(
        PooledLogisticRegression, is_learned=True, is_pooled=True
    ),
}


@dataclass(frozen=True)
class Roster:
    """The members that are in, in order, and what their weights start from.

    Parameters
    ----------
    prior_weights : dict of str to float
        By member, non-negative, summing to 1; climatology is among them.

    Raises
    ------
    SettingsError
        If a member is unknown, climatology is missing or the weights are no
        shares.
    """

    prior_weights: dict[str, float]

    def __post_init__(self) -> None:
        if unknown := set(self.prior_weights) - set(ROSTER):
            raise SettingsError(
                f"The seed roster names {', '.join(sorted(unknown))}, which is "
                f"no member; there are {', '.join(ROSTER)}. Mend "
                "dbt_project/seeds/roster.csv."
            )
        if CLIMATOLOGY not in self.prior_weights:
            raise SettingsError(
                "The seed roster leaves climatology out, which every score is "
                "measured against. Make it active in "
                "dbt_project/seeds/roster.csv."
            )
        weights = np.array(list(self.prior_weights.values()))
        if not (
            np.isfinite(weights).all()
            and (weights >= 0).all()
            and abs(weights.sum() - 1) < 1e-6
        ):
            raise SettingsError(
                f"The prior weights of the seed roster are {weights.tolist()}; "
                "those of the active members must be non-negative and sum to "
                "1. Mend dbt_project/seeds/roster.csv."
            )

    @classmethod
    def from_seed(cls, rows: pd.DataFrame) -> Self:
        """Active members of the seed `roster`."""
        active = rows[rows["is_active"].astype(bool)]
        return cls(
            {
                str(name): float(weight)
                for name, weight in zip(
                    active["member"], active["prior_weight"], strict=True
                )
            }
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All members, in order."""
        return tuple(self.prior_weights)

    @property
    def pooled(self) -> tuple[str, ...]:
        """Members that are fitted once for all series."""
        return tuple(name for name in self.names if ROSTER[name].is_pooled)

    @property
    def per_series(self) -> tuple[str, ...]:
        """Members that are fitted for each series alone."""
        return tuple(name for name in self.names if not ROSTER[name].is_pooled)

    @property
    def n_path_bars(self) -> int:
        """Bars of a path that suffice for every member; 0 for none."""
        return max(ROSTER[name].member.n_path_bars for name in self.names)

    @property
    def learned(self) -> tuple[bool, ...]:
        """Which members are learned, in order."""
        return tuple(ROSTER[name].is_learned for name in self.names)

    @property
    def weights(self) -> FloatArray:
        """Prior weights in order, shape (n_members,)."""
        return np.array(list(self.prior_weights.values()))


_PER_SERIES = [name for name, entry in ROSTER.items() if not entry.is_pooled]
# What can be fitted on one series alone, with equal weights.
PER_SERIES = Roster({name: 1 / len(_PER_SERIES) for name in _PER_SERIES})


def make_member(
    name: str,
    *,
    horizon_bars: int,
    prior_shares: FloatArray | None = None,
    climatology: FloatArray | None = None,
) -> Member:
    """Unfitted member `name` for one series and horizon.

    Parameters
    ----------
    name : str
        Key of `ROSTER`.
    horizon_bars : int
        Grid bars a label looks ahead.
    prior_shares, climatology : ndarray of shape (3,), optional
        See `Member`.

    Raises
    ------
    SettingsError
        If the roster has no such member.

    Examples
    --------
    >>> make_member("climatology", horizon_bars=5)
    Climatology(horizon_bars=5)
    """
    if name not in ROSTER:
        raise SettingsError(
            f"Unknown member {name!r}; the roster has {', '.join(ROSTER)}."
        )
    return ROSTER[name].member(
        horizon_bars=horizon_bars,
        prior_shares=prior_shares,
        climatology=climatology,
    )


def roster_settings() -> dict[str, object]:
    """Every setting that decides what a fitted member is, for fingerprints."""
    return {
        "roster": {
            name: entry.member.__name__ for name, entry in ROSTER.items()
        },
        **{
            name: value
            for name, value in vars(settings).items()
            if name.isupper()
        },
    }
