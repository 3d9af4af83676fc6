"""Who is compared: versions trained together and those live until then."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from python_ml.console.logs import get_logger, log_event
from python_ml.ensemble import HorizonEnsemble
from python_ml.registry.deployments import live_versions
from python_ml.registry.versions import (
    SharedArtifact,
    read_versions,
    why_unusable,
)
from python_ml.scoring.weights import DEFAULT_WEIGHTS, WeightSettings
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)


@dataclass(frozen=True)
class Challenger:
    """A version that was trained and may take over.

    Parameters
    ----------
    symbol_id : int
    ticker : str
    version_id : str
    horizons : tuple of str
    load : callable
        Returns its horizon ensembles by name, with `validation`. Called only
        if there is a champion to compare with, because it may read a file.
    """

    symbol_id: int
    ticker: str
    version_id: str
    horizons: tuple[str, ...]
    load: Callable[[], Mapping[str, HorizonEnsemble]]


@dataclass(frozen=True)
class Cohort:
    """Versions of one cut that were trained, and are decided on, together.

    Parameters
    ----------
    calendar, timeframe : str
    cut_id : int
    as_of : datetime
        Of the cut; deployments take effect then.
    challengers : tuple of Challenger
        Every series trained together, in the order of training, since weights
        are pulled towards those of all.
    weighting : WeightSettings, optional
        How these weights were fitted.
    """

    calendar: str
    timeframe: str
    cut_id: int
    as_of: datetime
    challengers: tuple[Challenger, ...]
    weighting: WeightSettings = DEFAULT_WEIGHTS

    @property
    def horizons(self) -> tuple[str, ...]:
        """Of any challenger, each once."""
        return tuple(
            dict.fromkeys(
                horizon
                for challenger in self.challengers
                for horizon in challenger.horizons
            )
        )


def read_champions(
    warehouse: Warehouse, cohort: Cohort, feature_names: Sequence[str]
) -> dict[tuple[int, str], str]:
    """Version live at the as-of time, by series and horizon.

    One whose artifact is lost, or that needs other features or libraries, can
    forecast nothing and so defends nothing.
    """
    live = live_versions(warehouse, at=cohort.as_of)
    live = live[
        live["symbol_id"].isin(
            [challenger.symbol_id for challenger in cohort.challengers]
        )
        & (live["timeframe"] == cohort.timeframe)
        & ~live["version_id"].isin(
            [challenger.version_id for challenger in cohort.challengers]
        )
    ]
    versions = read_versions(warehouse, live["version_id"].unique().tolist())
    usable = set()
    verified: set[SharedArtifact] = set()
    for version_id, version in versions.items():
        problem = why_unusable(
            warehouse, version, feature_names, verified=verified
        )
        if problem is None:
            usable.add(version_id)
        else:
            log_event(
                logger,
                "champion_unusable",
                version_id=version_id,
                reason=problem,
            )
    live = live[live["version_id"].isin(usable)]
    return {
        (int(symbol_id), str(horizon)): str(version_id)
        for symbol_id, horizon, version_id in zip(
            live["symbol_id"], live["horizon"], live["version_id"], strict=True
        )
    }
