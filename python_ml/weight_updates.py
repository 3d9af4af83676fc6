"""New weights for members that stay as they are, from what they forecast.

Between trainings the ledger tells more about the members than validation did.
Once a timeframe and horizon has enough settled forecasts their weights are
fitted on these, as training fits them on validation: pulled towards those of
all series, and climatology alone where the mixture, scored in time order, does
not beat it. The result is a new version that holds the same members.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.artifacts import (
    claim_owner,
    claim_version_id,
    library_versions,
    load_ensemble,
    release_claim,
    save_ensemble,
    sweep_claims,
)
from python_ml.assembly import weighing_of
from python_ml.deployments import (
    insert_deployments,
    live_versions,
    lock_deployments,
)
from python_ml.ensemble import CLASSES, Ensemble, MemberPredictions
from python_ml.evaluation import (
    TimeOrderedScore,
    accuracy,
    block_bars,
    block_standard_error,
    hits,
    log_losses,
    score_in_time_order,
    skill,
    skill_standard_error,
)
from python_ml.exceptions import NoEnsembleError
from python_ml.jobs import JobRun, code_version, excluding, job_run
from python_ml.logs import get_logger, log_event
from python_ml.members import CLIMATOLOGY
from python_ml.training import pooled_member_ids
from python_ml.versions import Version, read_versions
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.weights import MemberWeights

logger = get_logger(__name__)

# Newest bars of the ledger that count, and the independent labels among them
# (different closes / horizon) under which validation knows more.
WINDOW_BARS = 500
MIN_EFFECTIVE = 20.0
# A change of weights that nobody would see in a forecast.
SMALLEST_CHANGE = 1e-6
REASON = "weights updated"

LEDGER_QUERY = """
    with

    ranked as (
        select
            forecasts.*,
            outcomes.outcome,
            outcomes.settled_at,
            row_number() over (
                partition by
                    forecasts.symbol_id, forecasts.horizon, forecasts.closed_at
                order by
                    case when forecasts.run_kind = 'live' then 0 else 1 end,
                    forecasts.forecast_id
            ) as preference,
            max(forecasts.bar_number) over () as newest_bar_number
        from {ml}.forecasts as forecasts
        inner join {forecasting}.forecast_outcomes as outcomes
            on forecasts.forecast_id = outcomes.forecast_id
        where
            forecasts.timeframe = :timeframe
            and forecasts.symbol_id = any(:symbol_ids)
            and forecasts.run_kind in ('live', 'replay')
            and not forecasts.is_late
    )

    select
        symbol_id,
        horizon,
        bar_number,
        closed_at,
        target_at,
        settled_at,
        outcome,
        PROBABILITIES
    from ranked
    where preference = 1 and bar_number > newest_bar_number - :window_bars
    order by horizon, symbol_id, bar_number
"""


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


@dataclass(frozen=True)
class _Fitted:
    """New weights of one series and horizon."""

    weights: dict[str, float]
    how: MemberWeights
    source: str
    n_effective: float
    known_at: datetime | None
    record: dict[str, Any]


@dataclass
class _Base:
    """A live version, and the horizons that it is live for."""

    version: Version
    ensemble: Ensemble
    horizons: list[str]


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
        live = live_versions(warehouse)
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
        update = _Update(warehouse, job)
        for (_, timeframe), rows in live.groupby(
            ["calendar", "timeframe"], sort=True
        ):
            update.run(str(timeframe), rows, set(asked["version_id"]))
        summary = UpdateSummary(job.job_run_id, pd.DataFrame(update.results))
        job.counts["updated"] = summary.count("updated")
        job.counts["unchanged"] = summary.count("unchanged")
    return summary


class _Update:
    """One run of the job, under its lock."""

    def __init__(self, warehouse: Warehouse, job: JobRun) -> None:
        self.warehouse = warehouse
        self.job = job
        self.started_at = datetime.now(UTC)
        self.folder = warehouse.settings.artifacts_dir
        parameters = warehouse.parameters
        self.owner = claim_owner(
            warehouse.settings,
            database=f"{parameters.host}:{parameters.port}/"
            f"{parameters.database}",
        )
        self.results: list[dict[str, Any]] = []
        sweep_claims(self.folder, owner=self.owner, on_record=self._on_record)

    def _on_record(self, names: Any) -> set[str]:
        found: set[str] = set()
        with self.warehouse.begin() as connection:
            for column in (
                schema.ensembles.c.version_id,
                schema.pooled_members.c.pooled_member_id,
            ):
                query = sa.select(column).where(column.in_(names))
                found |= set(connection.execute(query).scalars())
        return found

    def run(self, timeframe: str, live: pd.DataFrame, asked: set[str]) -> None:
        """Update the series of one calendar and timeframe."""
        versions = read_versions(
            self.warehouse, live["version_id"].unique().tolist()
        )
        bases = [
            _Base(
                version,
                load_ensemble(self.warehouse, name),
                [
                    horizon
                    for horizon in version.horizons
                    if horizon
                    in set(live.loc[live["version_id"] == name, "horizon"])
                ],
            )
            for name, version in versions.items()
        ]
        bases.sort(key=lambda base: base.version.ticker)
        fitted = self._fit(timeframe, bases)
        for base in bases:
            if base.version.version_id in asked:
                self._write(base, fitted)

    # ----------------------------------------------------------------- fit

    def _fit(
        self, timeframe: str, bases: Sequence[_Base]
    ) -> dict[tuple[int, str], _Fitted]:
        names = list(
            dict.fromkeys(
                name
                for base in bases
                for horizon in base.horizons
                for name in base.ensemble.horizons[horizon].weights
            )
        )
        ledger = self._read_ledger(timeframe, bases, names)
        session_bars = self._session_bars(bases[0].version)
        fitted: dict[tuple[int, str], _Fitted] = {}
        for horizon in dict.fromkeys(
            name for base in bases for name in base.horizons
        ):
            for members, group in _by_members(bases, horizon).items():
                rows = ledger[ledger["horizon"] == horizon].dropna(
                    subset=[
                        f"{names.index(name)}_{i}"
                        for name in members
                        for i in range(len(CLASSES))
                    ]
                )
                fitted |= _fit_group(
                    horizon, members, group, rows, names, session_bars
                )
        return fitted

    def _read_ledger(
        self, timeframe: str, bases: Sequence[_Base], names: Sequence[str]
    ) -> pd.DataFrame:
        probabilities = ",\n".join(
            "cast(member_probabilities "
            f"-> cast(:member_{number} as text) ->> {i} as double precision) "
            f'as "{number}_{i}"'
            for number in range(len(names))
            for i in range(len(CLASSES))
        )
        ledger = read_frame(
            self.warehouse,
            LEDGER_QUERY.replace("PROBABILITIES", probabilities),
            {
                "timeframe": timeframe,
                "symbol_ids": sorted({b.version.symbol_id for b in bases}),
                "window_bars": WINDOW_BARS,
                **{f"member_{n}": name for n, name in enumerate(names)},
            },
        )
        log_event(
            logger,
            "rows_read",
            table="forecasting.forecast_outcomes",
            timeframe=timeframe,
            rows=len(ledger),
        )
        return ledger

    def _session_bars(self, version: Version) -> int:
        found = read_frame(
            self.warehouse,
            """
            select coalesce(max(full_session_bars), 1) as session_bars
            from {features}.bar_grid
            where calendar = :calendar and timeframe = :timeframe
            """,
            {"calendar": version.calendar, "timeframe": version.timeframe},
        )
        return int(found["session_bars"].iloc[0])

    # --------------------------------------------------------------- write

    def _write(
        self, base: _Base, fitted: Mapping[tuple[int, str], _Fitted]
    ) -> None:
        """Write and deploy a version of the series if its weights moved."""
        version = base.version
        changed = {
            horizon: new
            for horizon in base.horizons
            if (new := fitted.get((version.symbol_id, horizon))) is not None
            and _differ(base.ensemble.horizons[horizon].weights, new.weights)
        }
        version_id = version.version_id
        if changed:
            version_id = self._record(base, changed)
        for horizon in base.horizons:
            new = fitted.get((version.symbol_id, horizon))
            self.results.append(
                {
                    "ticker": version.ticker,
                    "timeframe": version.timeframe,
                    "horizon": horizon,
                    "outcome": "updated" if horizon in changed else "unchanged",
                    "source": None if new is None else new.source,
                    "n_effective": None if new is None else new.n_effective,
                    "weights": dict(
                        base.ensemble.horizons[horizon].weights
                        if new is None
                        else new.weights
                    ),
                    "reason": None if new is None else new.how.reason,
                    "version_id": version_id,
                }
            )

    def _record(self, base: _Base, changed: Mapping[str, _Fitted]) -> str:
        version = base.version
        root = version.members_version_id or version.version_id
        weights = {
            horizon: (
                changed[horizon].weights
                if horizon in changed
                else dict(base.ensemble.horizons[horizon].weights)
            )
            for horizon in base.horizons
        }
        as_of = max(
            [version.as_of]
            + [new.known_at for new in changed.values() if new.known_at]
        )
        fingerprint = hashlib.sha256(
            json.dumps([root, as_of.isoformat(), weights]).encode()
        ).hexdigest()
        version_id = claim_version_id(
            self.folder,
            ticker=version.ticker,
            timeframe=version.timeframe,
            created_at=self.started_at,
            owner=self.owner,
        )
        ensemble = replace(
            base.ensemble,
            version_id=version_id,
            as_of=as_of,
            horizons={
                horizon: replace(
                    base.ensemble.horizons[horizon], weights=weights[horizon]
                )
                for horizon in base.horizons
            },
            metadata={
                **base.ensemble.metadata,
                "settings_fingerprint": fingerprint,
                "members_version_id": root,
            },
        )
        try:
            path, sha256 = save_ensemble(ensemble, self.folder)
            artifact_path = str(path.relative_to(self.warehouse.settings.home))
            with self.warehouse.begin() as connection:
                lock_deployments(connection, self.warehouse)
                connection.execute(
                    schema.ensembles.insert().values(
                        version_id=version_id,
                        symbol_id=version.symbol_id,
                        timeframe=version.timeframe,
                        as_of=as_of,
                        cut_id=version.cut_id,
                        artifact_path=artifact_path,
                        sha256=sha256,
                        horizons=base.horizons,
                        feature_names=list(version.feature_names),
                        classes=list(CLASSES),
                        data_fingerprint=_data_fingerprint(
                            connection, version.version_id
                        ),
                        settings_fingerprint=fingerprint,
                        code_version=code_version(),
                        library_versions=library_versions(),
                        job_run_id=self.job.job_run_id,
                        members_version_id=root,
                        pooled_members=pooled_member_ids(ensemble),
                    )
                )
                self._record_runs(
                    connection, base, changed, version_id, artifact_path, as_of
                )
                insert_deployments(
                    connection,
                    [
                        {
                            "symbol_id": version.symbol_id,
                            "timeframe": version.timeframe,
                            "version_id": version_id,
                            "horizons": base.horizons,
                            "effective_at": self._effective_at(version, as_of),
                            "reason": REASON,
                            "job_run_id": self.job.job_run_id,
                        }
                    ],
                )
        except Exception:
            # Nothing of it is on record, so its file is none's.
            (self.folder / f"{version_id}.joblib").unlink(missing_ok=True)
            release_claim(self.folder, version_id, owner=self.owner)
            raise
        release_claim(self.folder, version_id, owner=self.owner)
        log_event(
            logger,
            "weights_updated",
            version_id=version_id,
            horizons=",".join(changed),
        )
        return version_id

    def _effective_at(self, version: Version, as_of: datetime) -> datetime:
        """Its as-of time, or just after what was forecast or decided since."""
        found = read_frame(
            self.warehouse,
            """
            select
                (
                    select max(closed_at) + interval '1 microsecond'
                    from {ml}.forecasts
                    where
                        symbol_id = :symbol_id
                        and timeframe = :timeframe
                        and run_kind = 'live'
                ) as forecast_at,
                (
                    select max(effective_at)
                    from {ml}.deployments
                    where symbol_id = :symbol_id and timeframe = :timeframe
                ) as deployed_at
            """,
            {"symbol_id": version.symbol_id, "timeframe": version.timeframe},
        ).iloc[0]
        later: list[datetime] = [
            time.to_pydatetime() for time in found if not pd.isna(time)
        ]
        return max([as_of, *later])

    def _record_runs(
        self,
        connection: sa.Connection,
        base: _Base,
        changed: Mapping[str, _Fitted],
        version_id: str,
        artifact_path: str,
        as_of: datetime,
    ) -> None:
        runs = schema.training_runs
        before = {
            row["horizon"]: dict(row)
            for row in connection.execute(
                sa.select(runs)
                .where(runs.c.version_id == base.version.version_id)
                .order_by(runs.c.training_run_id.desc())
            ).mappings()
        }
        rows, weights = [], []
        for horizon in base.horizons:
            row = before.get(horizon, {})
            for name in ("training_run_id", "created_at"):
                row.pop(name, None)
            row |= {
                "job_run_id": self.job.job_run_id,
                "symbol_id": base.version.symbol_id,
                "timeframe": base.version.timeframe,
                "horizon": horizon,
                "run_date": self.started_at.date(),
                "as_of": as_of,
                "trigger": "weights",
                "version_id": version_id,
                "status": "succeeded",
                "models_artifact_path": artifact_path,
                "code_version": code_version(),
            }
            held = base.ensemble.horizons[horizon].weights
            how = (row.get("weight_method"), row.get("weight_alpha"))
            reason = row.get("weight_reason") or "as before"
            if horizon in changed:
                new = changed[horizon]
                held = new.weights
                how = (new.how.method, new.how.alpha)
                reason = f"{new.how.reason} ({new.source})"
                row |= new.record
            row |= {
                "weights": dict(held),
                "weight_method": how[0],
                "weight_alpha": how[1],
                "weight_reason": reason,
            }
            rows.append(row)
            weights += [
                {
                    "version_id": version_id,
                    "horizon": horizon,
                    "member": member,
                    "weight": weight,
                    "method": how[0] or "unknown",
                    "alpha": how[1],
                    "reason": reason,
                }
                for member, weight in held.items()
            ]
        for row in rows:
            connection.execute(runs.insert().values(**row))
        connection.execute(schema.ensemble_weights.insert(), weights)


def _data_fingerprint(connection: sa.Connection, version_id: str) -> str:
    table = schema.ensembles
    return str(
        connection.execute(
            sa.select(table.c.data_fingerprint).where(
                table.c.version_id == version_id
            )
        ).scalar_one()
    )


def _differ(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return any(
        abs(a.get(name, 0.0) - b.get(name, 0.0)) > SMALLEST_CHANGE
        for name in {*a, *b}
    )


def _by_members(
    bases: Sequence[_Base], horizon: str
) -> dict[tuple[str, ...], list[_Base]]:
    """Series whose ensembles have the same members are weighed together."""
    groups: dict[tuple[str, ...], list[_Base]] = {}
    for base in bases:
        if horizon in base.horizons:
            members = tuple(base.ensemble.horizons[horizon].weights)
            groups.setdefault(members, []).append(base)
    return groups


def _fit_group(
    horizon: str,
    members: tuple[str, ...],
    group: Sequence[_Base],
    ledger: pd.DataFrame,
    names: Sequence[str],
    session_bars: int,
) -> dict[tuple[int, str], _Fitted]:
    """Weights of one horizon for series with the same members."""
    horizon_bars = group[0].ensemble.horizons[horizon].horizon_bars
    n_effective = ledger["closed_at"].nunique() / horizon_bars
    if n_effective >= MIN_EFFECTIVE:
        source = "ledger"
        said = {
            base.version.symbol_id: _from_ledger(
                base, horizon, members, rows, names
            )
            for base in group
            if len(
                rows := ledger[ledger["symbol_id"] == base.version.symbol_id]
            )
        }
    else:
        source = "validation"
        said = {
            base.version.symbol_id: held
            for base in group
            if (held := base.ensemble.horizons[horizon].validation) is not None
            and held.member_names == members
        }
        times = [held.closed_at for held in said.values()]
        n_effective = (
            len(np.unique(np.concatenate(times))) / horizon_bars
            if times
            else 0.0
        )
    if not said:
        return {}
    predictions = list(said.values())
    weighing = weighing_of(predictions[0], horizon_bars)
    scores = score_in_time_order(predictions, weighing)
    _, weights = weighing.fit(
        predictions, [np.ones(len(one.y), dtype=bool) for one in predictions]
    )
    overall = _skill_of_all(predictions, scores)
    known_at = None
    if source == "ledger":
        known_at = ledger["settled_at"].max().to_pydatetime()
    fitted = {}
    for (symbol_id, one), score, how in zip(
        said.items(), scores, weights, strict=True
    ):
        if overall <= 0 and CLIMATOLOGY in members:
            how = MemberWeights(
                np.array([float(name == CLIMATOLOGY) for name in members]),
                how.method,
                how.alpha,
                f"climatology alone: weighed ({how.reason}) the members of all "
                f"series scored skill {overall:+.2%} in time order, not above "
                "0",
            )
        record: dict[str, Any] = {}
        if source == "ledger":
            numbers = ledger.loc[
                ledger["symbol_id"] == symbol_id, "bar_number"
            ].to_numpy()
            record = _measure(
                one,
                score,
                numbers[score.rows] // block_bars(horizon_bars, session_bars),
                horizon_bars,
                is_climatology_alone=overall <= 0,
            )
        fitted[symbol_id, horizon] = _Fitted(
            {
                name: float(weight)
                for name, weight in zip(members, how.values, strict=True)
            },
            how,
            source,
            float(n_effective),
            known_at,
            record,
        )
    return fitted


def _from_ledger(
    base: _Base,
    horizon: str,
    members: tuple[str, ...],
    rows: pd.DataFrame,
    names: Sequence[str],
) -> MemberPredictions:
    """Settled forecasts of one series in the shape of validation."""
    held = base.ensemble.horizons[horizon]
    prior = None if held.validation is None else held.validation.prior_weights
    if held.validation is None or held.validation.member_names != members:
        prior = None
    return MemberPredictions(
        member_names=members,
        probabilities=np.stack(
            [
                rows[
                    [f"{names.index(name)}_{i}" for i in range(len(CLASSES))]
                ].to_numpy(dtype=np.float64)
                for name in members
            ],
            axis=1,
        ),
        y=np.asarray(
            rows["outcome"].map({c: i for i, c in enumerate(CLASSES)}),
            dtype=np.int64,
        ),
        climatology=held.climatology,
        closed_at=_to_times(rows["closed_at"]),
        label_end_at=_to_times(rows["settled_at"]),
        prior_weights=prior,
    )


def _skill_of_all(
    predictions: Sequence[MemberPredictions],
    scores: Sequence[TimeOrderedScore],
) -> float:
    losses, climatology = [], []
    for one, score in zip(predictions, scores, strict=True):
        y = one.y[score.rows]
        losses.append(log_losses(score.probabilities, y))
        climatology.append(log_losses(np.tile(one.climatology, (len(y), 1)), y))
    return skill(np.concatenate(losses), np.concatenate(climatology))


def _measure(
    one: MemberPredictions,
    score: TimeOrderedScore,
    blocks: "np.ndarray[Any, Any]",
    horizon_bars: int,
    *,
    is_climatology_alone: bool,
) -> dict[str, Any]:
    """Columns of `ml.training_runs` that settled forecasts give."""
    y = one.y[score.rows]
    P_climatology = np.tile(one.climatology, (len(y), 1))
    P = score.probabilities
    losses, baseline = log_losses(P, y), log_losses(P_climatology, y)
    right = hits(P_climatology if is_climatology_alone else P, y)
    return {
        "n_validation": len(one.y),
        "n_validation_effective": len(one.y) / horizon_bars,
        "ensemble_validation_accuracy": float(right.mean()),
        "ensemble_validation_accuracy_se": _or_none(
            block_standard_error(right, blocks)
        ),
        "baseline_accuracy": accuracy(P_climatology, y),
        "majority_share": float(np.bincount(y).max() / len(y)),
        "skill": skill(losses, baseline),
        "skill_se": _or_none(skill_standard_error(losses, baseline, blocks)),
    }


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _to_times(column: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    times: np.ndarray[Any, Any] = (
        column.dt.tz_convert("UTC")
        .dt.tz_localize(None)
        .to_numpy(dtype="datetime64[us]")
    )
    return times
