"""New weights for members that stay as they are, from what they forecast.

Between trainings the ledger tells more about the members than validation did.
Once a timeframe and horizon has enough settled forecasts their weights are
fitted on these, as training fits them on validation (`reweighing.py`). The
result is a new version that holds the same members. An update is a row of
stages: read what is live and has settled, weigh, choose what changed, record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.examples.catalog import read_session_bars
from python_ml.examples.weighting import read_weighting
from python_ml.exceptions import NoEnsembleError
from python_ml.registry.deployments import live_versions, narrow_to_built
from python_ml.registry.recording import (
    VERSIONS_PER_TRANSACTION,
    Recorder,
)
from python_ml.registry.versions import load_version, read_versions
from python_ml.scoring.weights import WeightSettings
from python_ml.training.reweighing import LiveVersion, NewWeights, reweigh
from python_ml.training.settled import read_settled
from python_ml.training.weight_versions import WeightUpdate, record_updates
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import excluding, job_run

logger = get_logger(__name__)

# Newest bars of the ledger that count.
WINDOW_BARS = 500
# A change of weights that nobody would see in a forecast.
SMALLEST_CHANGE = 1e-6


@dataclass(frozen=True)
class UpdateSummary:
    """What an update of weights did.

    Parameters
    ----------
    job_run_id : int
    results : DataFrame
        One row per series and horizon: `ticker`, `timeframe`, `horizon`,
        `outcome` (updated, unchanged), `source` (ledger, validation),
        `n_effective`, `weights`, `reason`, `version_id`.
    """

    job_run_id: int
    results: pd.DataFrame

    def count(self, outcome: str) -> int:
        """Number of series and horizons with an outcome."""
        return int((self.results["outcome"] == outcome).sum())


def update_weights(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
) -> UpdateSummary:
    """Fit weights anew for every live version and deploy those that changed.

    Members are not fitted again. The same ledger twice makes no second
    version, and an interrupted update is finished by the next.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes : sequence of str, optional
        Whose weights are written, by default all. Weights are pulled towards
        those of all live series of the timeframe in any case.

    Raises
    ------
    NoEnsembleError
        If nothing is live for what was asked for.
    ArtifactError
        If an artifact of a live version cannot be read.
    JobRunningError
        If a training or another update runs.
    """
    arguments = {
        "symbols": None if symbols is None else list(symbols),
        "timeframes": None if timeframes is None else list(timeframes),
    }
    with (
        job_run(warehouse, "update-weights", arguments) as job,
        excluding(warehouse, "train"),
    ):
        live = narrow_to_built(warehouse, live_versions(warehouse))
        live = live[live["symbol_id"].isin(_read_traded(warehouse))]
        if timeframes is not None:
            live = live[live["timeframe"].isin(list(timeframes))]
        asked = (
            live
            if symbols is None
            else live[live["ticker"].isin(list(symbols))]
        )
        if asked.empty:
            raise NoEnsembleError(
                "No trained ensemble is live for what was asked for. Train "
                "first: swiftbolt train --all"
            )
        recorder = Recorder.begin(warehouse, job.job_run_id)
        weighting = read_weighting(warehouse)
        results: list[dict[str, Any]] = []
        for (_, timeframe), rows in live.groupby(
            ["calendar", "timeframe"], sort=True
        ):
            results += _update_timeframe(
                recorder,
                rows,
                set(asked["version_id"]),
                weighting[str(timeframe)],
            )
        summary = UpdateSummary(job.job_run_id, pd.DataFrame(results))
        job.counts["updated"] = summary.count("updated")
        job.counts["unchanged"] = summary.count("unchanged")
    return summary


def _read_traded(warehouse: Warehouse) -> list[int]:
    """Symbols that are neither deactivated nor delisted."""
    run = warehouse.backtest
    symbols = read_frame(
        warehouse,
        "select symbol_id from {raw}.symbols where deactivated_at is null "
        "and (delisted_at is null or delisted_at > :at)",
        # Live, a symbol is out as soon as its delisting is known.
        {"at": datetime.max.replace(tzinfo=UTC) if run is None else run.at},
    )
    return [int(symbol_id) for symbol_id in symbols["symbol_id"]]


def _update_timeframe(
    recorder: Recorder,
    live: pd.DataFrame,
    version_ids: set[str],
    settings: WeightSettings,
) -> list[dict[str, Any]]:
    """Update some live versions of one timeframe; a row for each horizon."""
    bases = _load_live(recorder.warehouse, live)
    weights = _weigh(recorder.warehouse, bases, settings)
    updates = [
        _choose_changed(base, weights)
        for base in bases
        if base.version.version_id in version_ids
    ]
    made_before = _find_made_before(recorder.warehouse, updates)
    due = []
    for update in updates:
        if update.changed and update.fingerprint not in made_before:
            due.append(update)
        elif update.changed:
            log_event(
                logger,
                "weights_taken_back_before",
                version_id=update.base.version.version_id,
                same_as=made_before[update.fingerprint],
            )
    successors: dict[str, str] = {}
    for start in range(0, len(due), VERSIONS_PER_TRANSACTION):
        successors |= record_updates(
            recorder, due[start : start + VERSIONS_PER_TRANSACTION]
        )
    return [
        row
        for update in updates
        for row in _report(update, successors, made_before)
    ]


def _load_live(warehouse: Warehouse, live: pd.DataFrame) -> list[LiveVersion]:
    """Live versions by ticker, with the horizons that each is live for."""
    versions = read_versions(warehouse, live["version_id"].unique().tolist())
    bases = []
    for version_id, version in versions.items():
        is_live = live["version_id"] == version_id
        horizons = set(live.loc[is_live, "horizon"])
        bases.append(
            LiveVersion(
                version,
                load_version(warehouse.settings, version),
                [name for name in version.horizons if name in horizons],
            )
        )
    return sorted(bases, key=lambda base: base.version.ticker)


def _weigh(
    warehouse: Warehouse,
    bases: Sequence[LiveVersion],
    settings: WeightSettings,
) -> dict[tuple[int, str], NewWeights]:
    first = bases[0].version
    member_names = list(
        dict.fromkeys(
            name
            for base in bases
            for horizon in base.horizons
            for name in base.ensemble.horizons[horizon].weights
        )
    )
    settled = read_settled(
        warehouse,
        timeframe=first.timeframe,
        symbol_ids=sorted({base.version.symbol_id for base in bases}),
        member_names=member_names,
        window_bars=WINDOW_BARS,
    )
    return reweigh(
        bases,
        settled,
        member_names,
        session_bars=read_session_bars(
            warehouse, first.calendar, first.timeframe
        ),
        settings=settings,
    )


def _choose_changed(
    base: LiveVersion, weights: Mapping[tuple[int, str], NewWeights]
) -> WeightUpdate:
    key = base.version.symbol_id
    new = {
        name: weights[key, name]
        for name in base.horizons
        if (key, name) in weights
    }
    changed = {
        name: each
        for name, each in new.items()
        if _differ(base.ensemble.horizons[name].weights, each.values)
    }
    return WeightUpdate(base, new, changed)


def _find_made_before(
    warehouse: Warehouse, updates: Sequence[WeightUpdate]
) -> dict[str, str]:
    """Versions with the very same weights, by fingerprint.

    One that is not live was rolled back from, or gave way to others.
    """
    ensembles = schema.ensembles.c
    with warehouse.begin() as connection:
        rows = connection.execute(
            sa.select(
                ensembles.settings_fingerprint, ensembles.version_id
            ).where(
                ensembles.settings_fingerprint.in_(
                    [each.fingerprint for each in updates if each.changed]
                )
            )
        ).all()
    return {row.settings_fingerprint: row.version_id for row in rows}


def _report(
    update: WeightUpdate,
    successors: Mapping[str, str],
    made_before: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Rows for people, one per horizon."""
    version = update.base.version
    is_updated = version.version_id in successors
    why_left = None
    if update.changed and not is_updated:
        why_left = _why_left(update, made_before.get(update.fingerprint))
    rows = []
    for horizon in update.base.horizons:
        new = update.weights.get(horizon)
        before = update.base.ensemble.horizons[horizon].weights
        rows.append(
            {
                "ticker": version.ticker,
                "timeframe": version.timeframe,
                "horizon": horizon,
                "outcome": "updated"
                if is_updated and horizon in update.changed
                else "unchanged",
                "source": new and new.source,
                "n_effective": new and new.n_effective,
                "weights": dict(new.values if new and is_updated else before),
                "reason": why_left or (new and new.weights.reason),
                "version_id": successors.get(
                    version.version_id, version.version_id
                ),
            }
        )
    return rows


def _why_left(update: WeightUpdate, made_before: str | None) -> str:
    """Why weights that moved were not written."""
    if made_before is None:
        return (
            f"left as they are: {update.base.version.version_id} was taken "
            "back meanwhile"
        )
    return (
        f"left as they are: the same weights are on record as {made_before}, "
        "which is not live; to deploy it: swiftbolt models promote "
        f"{made_before} --reason ..."
    )


def _differ(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return any(
        abs(a.get(name, 0.0) - b.get(name, 0.0)) > SMALLEST_CHANGE
        for name in {*a, *b}
    )
