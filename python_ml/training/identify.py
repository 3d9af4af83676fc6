"""Tell which versions of a cut are on record already, by fingerprints."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.ensemble import HorizonEnsemble
from python_ml.examples.arrays import SeriesExamples
from python_ml.registry.artifacts import is_intact, load_artifact
from python_ml.training.fingerprints import fingerprint_of_settings, replacing
from python_ml.training.plan import Group
from python_ml.training.run import TrainingRun

logger = get_logger(__name__)


@dataclass(frozen=True)
class RecordedVersion:
    """A version on record whose artifact is intact.

    Parameters
    ----------
    version_id, sha256 : str
    path : Path
        Of the artifact.
    horizons : tuple of str
    in_memory : mapping of str to HorizonEnsemble, optional
        Of one that was recorded just now, without members: what was saved
        need not be read again to be compared.
    """

    version_id: str
    sha256: str
    path: Path
    horizons: tuple[str, ...]
    in_memory: Mapping[str, HorizonEnsemble] | None = None

    def load_horizons(self) -> Mapping[str, HorizonEnsemble]:
        """Its horizon ensembles by name, with `validation`."""
        if self.in_memory is not None:
            return self.in_memory
        return load_artifact(
            self.path, sha256=self.sha256, folder=self.path.parent
        ).horizons


@dataclass(frozen=True)
class Identity:
    """What identifies a version, and the one on record, if any.

    Parameters
    ----------
    data_fingerprint, settings_fingerprint : str
    recorded : RecordedVersion or None
    """

    data_fingerprint: str
    settings_fingerprint: str
    recorded: RecordedVersion | None


def identify(
    run: TrainingRun,
    group: Group,
    examples: Mapping[int, SeriesExamples],
    *,
    pooled_fingerprints: Mapping[str, str],
    intact_pooled_ids: Set[str],
) -> dict[int, Identity]:
    """Fingerprints of every series, and its intact version if it has one.

    Parameters
    ----------
    run : TrainingRun
    group : Group
        Whose versions are looked for.
    examples : mapping of int to SeriesExamples
        By symbol_id.
    pooled_fingerprints : mapping of str to str
        Of the rows that pooled members learn from, by horizon.
    intact_pooled_ids : set of str
        Pooled members whose artifacts are those on record.

    Returns
    -------
    dict of int to Identity
        By symbol_id.
    """
    settings_fingerprint = fingerprint_of_settings(
        run.feature_names,
        [series.ticker for series in group.series],
        roster=run.roster,
        weighting=run.weighting[group.cut.timeframe],
        pooled_fingerprints=pooled_fingerprints,
        backtest=run.warehouse.backtest,
    )
    ensembles = schema.ensembles.c
    with run.warehouse.begin() as connection:
        rows = connection.execute(
            sa.select(
                ensembles.version_id,
                ensembles.symbol_id,
                ensembles.data_fingerprint,
                ensembles.settings_fingerprint,
                ensembles.artifact_path,
                ensembles.sha256,
                ensembles.horizons,
                ensembles.pooled_members,
            ).where(
                ensembles.cut_id == group.cut_id,
                ensembles.timeframe == group.cut.timeframe,
            )
        ).all()
    recorded = {
        (row.symbol_id, row.data_fingerprint, row.settings_fingerprint): row
        for row in rows
    }
    home = run.warehouse.settings.home
    identities = {}
    for symbol_id, rows_of_series in examples.items():
        data_fingerprint = rows_of_series.fingerprint()
        fingerprint = settings_fingerprint
        found = None
        while row := recorded.get((symbol_id, data_fingerprint, fingerprint)):
            path = home / row.artifact_path
            if intact_pooled_ids >= set(row.pooled_members) and is_intact(
                path, sha256=row.sha256, folder=run.recorder.folder
            ):
                found = RecordedVersion(
                    row.version_id, row.sha256, path, tuple(row.horizons)
                )
                break
            log_event(logger, "artifact_damaged", version_id=row.version_id)
            fingerprint = replacing(fingerprint, row.version_id)
        identities[symbol_id] = Identity(data_fingerprint, fingerprint, found)
    return identities
