"""What all stages of one training share."""

from dataclasses import dataclass

from python_ml.examples.catalog import read_feature_names
from python_ml.examples.weighting import read_weighting
from python_ml.members import Roster
from python_ml.registry.promotion.decisions import PromotionMode
from python_ml.registry.recording import Recorder
from python_ml.scoring.weights import WeightSettings
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.seeds import read_seed


@dataclass(frozen=True)
class TrainingRun:
    """One training: where it reads and writes, and by which settings.

    Parameters
    ----------
    warehouse : Warehouse
    recorder : Recorder
        Writes versions and the rows about them.
    trigger : str
        Why it runs, for the record.
    promotion : {"judge", "always", "never"}
        Which versions are deployed.
    n_jobs : int or None
        Processes, None for one per core.
    roster : Roster
        The members that are in.
    weighting : dict of str to WeightSettings
        By timeframe.
    feature_names : tuple of str
        In catalog order.
    """

    warehouse: Warehouse
    recorder: Recorder
    trigger: str
    promotion: PromotionMode
    n_jobs: int | None
    roster: Roster
    weighting: dict[str, WeightSettings]
    feature_names: tuple[str, ...]


def begin_run(
    warehouse: Warehouse,
    job_run_id: int,
    *,
    trigger: str,
    promotion: PromotionMode,
    n_jobs: int | None,
    weights: WeightSettings | None,
) -> TrainingRun:
    """Read the settings of a training, and sweep what killed ones left.

    Raises
    ------
    SettingsError
        If a seed cannot be used.
    SchemaError
        If the features were not built.
    """
    weighting = read_weighting(warehouse)
    if weights is not None:
        weighting = dict.fromkeys(weighting, weights)
    return TrainingRun(
        warehouse,
        Recorder.begin(warehouse, job_run_id),
        trigger,
        promotion,
        n_jobs,
        Roster.from_seed(read_seed(warehouse.settings, "roster")),
        weighting,
        read_feature_names(warehouse),
    )
