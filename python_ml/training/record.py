"""Record the versions of a group: artifacts and rows, both or neither."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from python_ml.console.logs import get_logger, log_event
from python_ml.ensemble import Ensemble, HorizonEnsemble
from python_ml.examples.series import Series
from python_ml.exceptions import ArtifactError
from python_ml.registry.artifacts import library_versions
from python_ml.registry.recording import (
    VERSIONS_PER_TRANSACTION,
    VersionRecord,
    WrittenArtifact,
    insert_versions,
    weight_rows,
)
from python_ml.training.identify import Identity, RecordedVersion
from python_ml.training.outcomes import run_row
from python_ml.training.plan import Group
from python_ml.training.run import TrainingRun
from python_ml.training.weighing import WeighedHorizon
from python_ml.warehouse.jobs import code_version

logger = get_logger(__name__)


@dataclass(frozen=True)
class Recorded:
    """A series whose version is on record.

    Parameters
    ----------
    series : Series
    version : RecordedVersion
    record : VersionRecord
        Its rows.
    """

    series: Series
    version: RecordedVersion
    record: VersionRecord


@dataclass(frozen=True)
class NotRecorded:
    """A series whose artifact could not be written, and why.

    Parameters
    ----------
    series : Series
    reason : str
        For people.
    """

    series: Series
    reason: str


def record_group(
    run: TrainingRun,
    group: Group,
    weighed: Mapping[int, Sequence[WeighedHorizon]],
    identities: Mapping[int, Identity],
) -> Iterator[Recorded | NotRecorded]:
    """Write artifacts and rows of all series that were weighed.

    Yields what is on record, some series at a time: a training that is killed
    loses no more than these.
    """
    series = [each for each in group.series if each.symbol_id in weighed]
    for start in range(0, len(series), VERSIONS_PER_TRANSACTION):
        yield from _record_together(
            run,
            group,
            series[start : start + VERSIONS_PER_TRANSACTION],
            weighed,
            identities,
        )


def _record_together(
    run: TrainingRun,
    group: Group,
    series: Sequence[Series],
    weighed: Mapping[int, Sequence[WeighedHorizon]],
    identities: Mapping[int, Identity],
) -> list[Recorded | NotRecorded]:
    outcomes: list[Recorded | NotRecorded] = []
    written: list[tuple[Series, WrittenArtifact[Ensemble], VersionRecord]] = []
    for each in series:
        about = (
            run,
            group,
            each,
            weighed[each.symbol_id],
            identities[each.symbol_id],
        )
        try:
            artifact = run.recorder.write_ensemble(
                each.ticker, each.timeframe, partial(_make_ensemble, *about)
            )
        except ArtifactError as error:
            outcomes.append(NotRecorded(each, str(error)))
        else:
            written.append((each, artifact, _rows_of(*about, artifact)))
    if written:
        artifacts = [artifact for _, artifact, _ in written]
        with run.recorder.transaction(artifacts) as connection:
            insert_versions(connection, [record for _, _, record in written])
    for each, artifact, record in written:
        run.recorder.release(artifact)
        log_event(
            logger,
            "series_trained",
            ticker=each.ticker,
            timeframe=each.timeframe,
            version_id=artifact.name,
        )
        version = RecordedVersion(
            artifact.name,
            artifact.sha256,
            artifact.path,
            tuple(artifact.artifact.horizons),
            in_memory={
                name: _without_members(horizon)
                for name, horizon in artifact.artifact.horizons.items()
            },
        )
        outcomes.append(Recorded(each, version, record))
    return outcomes


def _make_ensemble(
    run: TrainingRun,
    group: Group,
    series: Series,
    horizons: Sequence[WeighedHorizon],
    identity: Identity,
    version_id: str,
) -> Ensemble:
    return Ensemble(
        version_id=version_id,
        symbol_id=series.symbol_id,
        ticker=series.ticker,
        timeframe=series.timeframe,
        as_of=group.cut.as_of,
        feature_names=run.feature_names,
        horizons={
            horizon.ensemble.horizon: horizon.ensemble for horizon in horizons
        },
        metadata={
            "cut_id": group.cut_id,
            "data_fingerprint": identity.data_fingerprint,
            "settings_fingerprint": identity.settings_fingerprint,
            "code_version": code_version(),
            "library_versions": library_versions(),
        },
    )


def _rows_of(
    run: TrainingRun,
    group: Group,
    series: Series,
    horizons: Sequence[WeighedHorizon],
    identity: Identity,
    written: WrittenArtifact[Ensemble],
) -> VersionRecord:
    runs, weights = [], []
    for horizon in horizons:
        name = horizon.ensemble.horizon
        runs.append(
            run_row(
                run,
                series,
                name,
                group.cut.as_of,
                **horizon.record,
                cut_id=group.cut_id,
                version_id=written.name,
                status="succeeded",
                lookback_bars=group.cut.window_bars,
                models_artifact_path=written.artifact_path,
                data_fingerprint=identity.data_fingerprint,
            )
        )
        weights += weight_rows(
            written.name,
            name,
            horizon.ensemble.weights,
            method=horizon.weights.method,
            alpha=horizon.weights.alpha,
            reason=horizon.weights.reason,
        )
    row = run.recorder.version_row(
        written,
        cut_id=group.cut_id,
        data_fingerprint=identity.data_fingerprint,
        settings_fingerprint=identity.settings_fingerprint,
    )
    return VersionRecord(row, runs, weights)


def _without_members(horizon: HorizonEnsemble) -> HorizonEnsemble:
    """Fitted members are large, and comparing reads only their predictions."""
    return replace(horizon, members={})
