"""The members of an ensemble, one file each, and the roster of them.

To add one: write a `Member` in a file of its own, add it to `ROSTER`.
"""

from dataclasses import dataclass

import numpy as np

from python_ml.ensemble import FloatArray
from python_ml.exceptions import SettingsError
from python_ml.members import settings
from python_ml.members.base import Member
from python_ml.members.climatology import Climatology
from python_ml.members.gradient_boosting import GradientBoosting
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
    """

    member: type[Member]
    is_learned: bool


ROSTER = {
    CLIMATOLOGY: RosterEntry(Climatology, is_learned=False),
    "random_forest": RosterEntry(RandomForest, is_learned=True),
    "gradient_boosting": RosterEntry(GradientBoosting, is_learned=True),
}


def make_member(
    name: str, *, horizon_bars: int, prior_shares: FloatArray
) -> Member:
    """Unfitted member `name` for one series and horizon.

    Parameters
    ----------
    name : str
        Key of `ROSTER`.
    horizon_bars : int
        Grid bars a label looks ahead.
    prior_shares : ndarray of shape (3,)
        Class shares over all series.

    Raises
    ------
    SettingsError
        If the roster has no such member.

    Examples
    --------
    >>> make_member("climatology", horizon_bars=5, prior_shares=np.ones(3) / 3)
    Climatology(horizon_bars=5,
                prior_shares=array([0.33333333, 0.33333333, 0.33333333]))
    """
    if name not in ROSTER:
        raise SettingsError(
            f"Unknown member {name!r}; the roster has {', '.join(ROSTER)}."
        )
    return ROSTER[name].member(
        horizon_bars=horizon_bars, prior_shares=np.asarray(prior_shares)
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
