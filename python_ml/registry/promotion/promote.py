"""Decisions on a training, written together with the deployments they make."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.registry.deployments import (
    insert_deployments,
    lock_deployments,
)
from python_ml.registry.promotion.cohort import Cohort
from python_ml.registry.promotion.decisions import (
    Decision,
    PromotionMode,
    decide,
)
from python_ml.registry.promotion.verdict import RULE
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)


def promote(
    warehouse: Warehouse,
    cohort: Cohort,
    *,
    mode: PromotionMode,
    reason: str,
    feature_names: Sequence[str],
    job_run_id: int,
) -> list[Decision]:
    """Decide on the versions of a training and deploy those that take over.

    Decisions and deployments are written in one transaction. What was decided
    before is left alone, so the same call finishes what was interrupted and
    adds nothing after that. Versions that were kept for want of bars are
    decided on again: the ledger may have been filled since.

    Parameters
    ----------
    warehouse : Warehouse
    cohort : Cohort
    mode : {"judge", "always", "never"}
        `always` deploys what was kept, too; `never` decides nothing, so that
        it can be decided later.
    reason : str
        Of the deployments.
    feature_names : sequence of str
        Features that there are now; a champion that needs others cannot go on.
    job_run_id : int

    Returns
    -------
    list of Decision
        Those made now, by horizon.
    """
    if mode == "never" or not cohort.challengers:
        return []
    backtest = warehouse.backtest
    with warehouse.begin() as connection:
        lock_deployments(connection, warehouse)
        decisions = decide(
            warehouse, cohort, mode=mode, feature_names=feature_names
        )
        if not decisions:
            return []
        connection.execute(
            schema.promotions.insert(),
            [
                _to_row(cohort, decision, mode=mode, job_run_id=job_run_id)
                | {"run_name": backtest and backtest.name}
                for decision in decisions
            ],
        )
        insert_deployments(
            connection,
            _deployments(
                cohort,
                decisions,
                _earliest_starts(warehouse, cohort),
                reason=reason,
                job_run_id=job_run_id,
            ),
            backtest=backtest,
        )
    for decision in decisions:
        log_event(
            logger,
            "promotion_decided",
            timeframe=cohort.timeframe,
            horizon=decision.horizon,
            verdict=decision.verdict.verdict,
            deployed=len(decision.deployed_version_ids),
            of=len(decision.version_ids),
        )
    return decisions


def _to_row(
    cohort: Cohort, decision: Decision, *, mode: str, job_run_id: int
) -> dict[str, Any]:
    return {
        **asdict(decision.verdict),
        "job_run_id": job_run_id,
        "calendar": cohort.calendar,
        "timeframe": cohort.timeframe,
        "horizon": decision.horizon,
        "cut_id": cohort.cut_id,
        "as_of": cohort.as_of,
        "mode": mode,
        "version_ids": list(decision.version_ids),
        "deployed_version_ids": list(decision.deployed_version_ids),
        "champion_version_ids": list(decision.champion_version_ids),
        "rule": RULE,
    }


def _earliest_starts(
    warehouse: Warehouse, cohort: Cohort
) -> dict[int, datetime]:
    """When a series' version can be live, where its as-of time is too early.

    Not before what was decided since: after a rollback on the evening of the
    training an older version would take over at once. Nor before the bars that
    a live forecast by the version then deployed is on record of.
    """
    found = read_frame(
        warehouse,
        """
        select
            deployments.symbol_id,
            now() as starts_at
        from {deployments} as deployments
        inner join {ml}.ensembles as ensembles
            on deployments.version_id = ensembles.version_id
        where
            deployments.timeframe = :timeframe
            and deployments.effective_at > :as_of
            -- What is planned for later takes over when its time comes.
            and deployments.effective_at <= now()
            and ensembles.as_of <= :as_of
        group by deployments.symbol_id
        union all
        select
            forecasts.symbol_id,
            max(forecasts.closed_at) + interval '1 microsecond'
        from {issued} as forecasts
        where
            forecasts.timeframe = :timeframe
            and forecasts.closed_at >= :as_of
            -- Bars of newer versions stay with these.
            and not exists (
                select 1
                from {deployments} as newer
                inner join {ml}.ensembles as ensembles
                    on newer.version_id = ensembles.version_id
                where
                    newer.symbol_id = forecasts.symbol_id
                    and newer.timeframe = forecasts.timeframe
                    and newer.effective_at <= forecasts.closed_at
                    and ensembles.as_of > :as_of
            )
        group by forecasts.symbol_id
        """,
        {"timeframe": cohort.timeframe, "as_of": cohort.as_of},
    )
    latest = found.groupby("symbol_id")["starts_at"].max()
    return {
        int(symbol_id): time.to_pydatetime()
        for symbol_id, time in zip(latest.index, latest, strict=True)
    }


def _deployments(
    cohort: Cohort,
    decisions: Sequence[Decision],
    starts: Mapping[int, datetime],
    *,
    reason: str,
    job_run_id: int,
) -> list[dict[str, Any]]:
    """One row per series, for those of its horizons that take over."""
    rows = []
    for challenger in cohort.challengers:
        taken = {
            decision.horizon
            for decision in decisions
            if challenger.version_id in decision.deployed_version_ids
        }
        if taken:
            rows.append(
                {
                    "symbol_id": challenger.symbol_id,
                    "timeframe": cohort.timeframe,
                    "version_id": challenger.version_id,
                    "horizons": [
                        horizon
                        for horizon in challenger.horizons
                        if horizon in taken
                    ],
                    "effective_at": starts.get(
                        challenger.symbol_id, cohort.as_of
                    ),
                    "reason": reason,
                    "job_run_id": job_run_id,
                }
            )
    return rows
