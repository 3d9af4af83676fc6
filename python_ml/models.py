"""Versions for people: list, show, compare, promote, roll back, prune.

Nothing here rewrites what was: deployments are added, rows of versions stay
when their artifacts go, and whatever would contradict the ledger of forecasts
is refused.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.artifacts import is_intact, load_ensemble
from python_ml.assembly import weighing_of
from python_ml.deployments import (
    SPANS_QUERY,
    insert_deployments,
    live_versions,
    lock_deployments,
)
from python_ml.ensemble import CLASSES, FloatArray
from python_ml.evaluation import (
    block_standard_error,
    log_losses,
    score_in_time_order,
)
from python_ml.examples import read_feature_names
from python_ml.exceptions import (
    ArtifactError,
    DeploymentError,
    NoEnsembleError,
    NotEnoughDataError,
    SettingsError,
    UnknownSeriesError,
    UnknownVersionError,
)
from python_ml.jobs import excluding, job_run
from python_ml.logs import get_logger, log_event
from python_ml.promotion import promotion_block_bars
from python_ml.versions import (
    SharedArtifact,
    Version,
    artifact_file,
    check_usable,
    read_shared_artifacts,
    read_version,
    read_versions,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

Series = tuple[str, str]
METRICS = (
    "skill",
    "skill_se",
    "ensemble_validation_accuracy",
    "ensemble_validation_accuracy_se",
    "baseline_accuracy",
    "train_accuracy",
    "n_fit",
    "n_validation",
)
MAX_NAMES = 8


def list_versions(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Every version of some series, newest first within each.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes : sequence of str, optional
        By default all.

    Returns
    -------
    DataFrame of shape (n_versions, n_columns)
        `ticker`, `timeframe`, `version_id`, `as_of`, `created_at`,
        `horizons`, `live_horizons`, `was_deployed`, `skill` by horizon,
        `members_version_id` and `artifact`: kept or pruned.

    Raises
    ------
    UnknownSeriesError
        If the warehouse has no such symbol, or no version of a timeframe.
    """
    frame = read_frame(
        warehouse,
        f"""
        with spans as ({SPANS_QUERY}),

        live as (
            select version_id, jsonb_agg(horizon order by horizon) as horizons
            from spans
            where
                effective_at <= now()
                and (superseded_at is null or superseded_at > now())
            group by version_id
        ),

        skills as (
            select version_id, jsonb_object_agg(horizon, skill) as skill
            from {{ml}}.training_runs
            where version_id is not null
            group by version_id
        )

        select
            symbols.ticker,
            ensembles.timeframe,
            ensembles.version_id,
            ensembles.as_of,
            ensembles.created_at,
            ensembles.horizons,
            coalesce(live.horizons, '[]'::jsonb) as live_horizons,
            exists (
                select 1
                from {{ml}}.deployments as deployments
                where deployments.version_id = ensembles.version_id
            ) as was_deployed,
            skills.skill,
            ensembles.members_version_id,
            case when removals.version_id is null then 'kept' else 'pruned' end
                as artifact
        from {{ml}}.ensembles as ensembles
        inner join {{raw}}.symbols as symbols
            on ensembles.symbol_id = symbols.symbol_id
        left join live on ensembles.version_id = live.version_id
        left join skills on ensembles.version_id = skills.version_id
        left join {{ml}}.artifact_removals as removals
            on ensembles.version_id = removals.version_id
        order by
            symbols.ticker,
            ensembles.timeframe,
            ensembles.created_at desc,
            ensembles.version_id desc
        """,
    )
    return _choose(warehouse, frame, symbols, timeframes)


def show_version(warehouse: Warehouse, version_id: str) -> dict[str, Any]:
    """All that is on record about one version, ready for JSON.

    Raises
    ------
    UnknownVersionError
        If there is no such version.
    """
    version = read_version(warehouse, version_id)
    parameters = {"version_id": version_id}
    tables = {
        "horizons": """
            select
                horizon, trigger, n_fit, n_validation, skill, skill_se,
                ensemble_validation_accuracy, baseline_accuracy, weights,
                weight_method, weight_alpha, weight_reason
            from {ml}.training_runs
            where version_id = :version_id
            order by training_run_id
        """,
        "deployments": """
            select effective_at, horizons, reason, created_at
            from {ml}.deployments
            where version_id = :version_id
            order by deployment_id
        """,
        "promotions": """
            select
                horizon, verdict, is_promoted, n_series, n_bars, n_blocks,
                mean_difference, mean_difference_se, reason, created_at,
                jsonb_exists(deployed_version_ids, :version_id) as is_deployed
            from {ml}.promotions
            where jsonb_exists(version_ids, :version_id)
            order by promotion_id
        """,
    }
    return {
        "version_id": version.version_id,
        "ticker": version.ticker,
        "timeframe": version.timeframe,
        "as_of": version.as_of.isoformat(),
        "created_at": version.created_at.isoformat(),
        "cut_id": version.cut_id,
        "features": len(version.feature_names),
        "library_versions": version.library_versions,
        "members_version_id": version.members_version_id,
        "artifact_path": version.artifact_path,
        "sha256": version.sha256,
        "artifact": _state(warehouse, version),
        **{
            name: _plain(read_frame(warehouse, query, parameters))
            for name, query in tables.items()
        },
    }


def history(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    at: datetime | None = None,
) -> pd.DataFrame:
    """Which version was live when, by series and horizon.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes : sequence of str, optional
        By default all.
    at : datetime, optional
        With time zone: only those live then.

    Returns
    -------
    DataFrame of shape (n_deployments, n_columns)
        `ticker`, `timeframe`, `horizon`, `version_id`, `effective_at`,
        `superseded_at`, `reason`, `created_at`; in order of time.

    Raises
    ------
    UnknownSeriesError
        If nothing was ever deployed for what was asked for.
    """
    if at is not None:
        frame = live_versions(warehouse, at=at)
    else:
        frame = read_frame(
            warehouse,
            f"""
            with spans as ({SPANS_QUERY})

            select symbols.ticker, spans.*
            from spans
            inner join {{raw}}.symbols as symbols
                on spans.symbol_id = symbols.symbol_id
            order by
                symbols.ticker,
                spans.timeframe,
                spans.horizon,
                spans.effective_at,
                spans.deployment_id
            """,
        )
    columns = [
        *("ticker", "timeframe", "horizon", "version_id", "effective_at"),
        *("superseded_at", "reason", "created_at"),
    ]
    return _choose(warehouse, frame[columns], symbols, timeframes)


# ------------------------------------------------------------- who is live


def promote_version(
    warehouse: Warehouse,
    version_id: str,
    *,
    reason: str,
    horizons: Sequence[str] | None = None,
    effective_at: datetime | None = None,
) -> pd.DataFrame:
    """Deploy a version by hand.

    Parameters
    ----------
    warehouse : Warehouse
    version_id : str
    reason : str
        For the record.
    horizons : sequence of str, optional
        By default all that it has.
    effective_at : datetime, optional
        With time zone; by default now.

    Returns
    -------
    DataFrame of shape (1, n_columns)
        `ticker`, `timeframe`, `version_id`, `horizons`, `effective_at`.

    Raises
    ------
    UnknownVersionError
        If there is no such version.
    ArtifactError, FeatureMismatchError
        If forecasts could not be made with it.
    DeploymentError
        If it is live already, or a forecast or deployment stands against the
        time.
    """
    version = read_version(warehouse, version_id)
    chosen = version.horizons if horizons is None else tuple(horizons)
    unknown = [name for name in chosen if name not in version.horizons]
    if unknown or not chosen:
        raise SettingsError(
            f"Version {version_id} has no horizon {', '.join(unknown)}; it "
            f"has {', '.join(version.horizons)}."
        )
    with (
        job_run(
            warehouse,
            "deploy",
            {"verb": "promote", "version_id": version_id, "reason": reason},
        ) as job,
        warehouse.begin() as connection,
    ):
        lock_deployments(connection, warehouse)
        live = live_versions(warehouse)
        mine = live[
            (live["symbol_id"] == version.symbol_id)
            & (live["timeframe"] == version.timeframe)
            & (live["version_id"] == version_id)
        ]
        if set(chosen) <= set(mine["horizon"]):
            raise DeploymentError(
                f"Version {version_id} is live for "
                f"{', '.join(chosen)} already. See: swiftbolt models history "
                f"--symbols {version.ticker}"
            )
        moves = [(version, tuple(chosen))]
        return _deploy(
            warehouse,
            connection,
            moves,
            reason=reason,
            effective_at=effective_at,
            job_run_id=job.job_run_id,
        )


def rollback(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    to: str | None = None,
    reason: str = "rollback",
    effective_at: datetime | None = None,
) -> pd.DataFrame:
    """Go back to the versions that were live before, all series or none.

    What is taken back is the version last deployed for a series, on every
    horizon on which it is live. A version that was itself rolled back from is
    not gone back to.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes : sequence of str, optional
        By default every series that has something live.
    to : str, optional
        Version to go back to instead; its series is the one rolled back.
    reason : str
        For the record.
    effective_at : datetime, optional
        With time zone; by default now.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        The deployments written: `ticker`, `timeframe`, `version_id`,
        `horizons`, `effective_at`. One per series, unless its horizons had
        different versions before.

    Raises
    ------
    DeploymentError
        If a series has nothing to go back to, or a forecast or deployment
        stands against the time. Nothing is written then.
    ArtifactError, FeatureMismatchError
        If forecasts could not be made with a version to go back to.
    """
    arguments = {
        "verb": "rollback",
        "symbols": None if symbols is None else list(symbols),
        "timeframes": None if timeframes is None else list(timeframes),
        "to": to,
        "reason": reason,
    }
    with (
        job_run(warehouse, "deploy", arguments) as job,
        warehouse.begin() as connection,
    ):
        lock_deployments(connection, warehouse)
        spans = history(warehouse, symbols=symbols, timeframes=timeframes)
        if to is not None:
            moves = [_move_to(warehouse, spans, to)]
        else:
            moves = _moves_back(warehouse, spans)
        return _deploy(
            warehouse,
            connection,
            moves,
            reason=reason,
            effective_at=effective_at,
            job_run_id=job.job_run_id,
        )


def _moves_back(
    warehouse: Warehouse, spans: pd.DataFrame
) -> list[tuple[Version, tuple[str, ...]]]:
    """Version to go back to and its horizons, for every series."""
    now = datetime.now(UTC)
    spans = spans[spans["effective_at"] <= now]
    found: dict[tuple[str, str], list[str]] = {}
    stuck = []
    for (ticker, timeframe), rows in spans.groupby(
        ["ticker", "timeframe"], sort=False
    ):
        stacks = {
            str(horizon): deployment_stack(of_horizon["version_id"])
            for horizon, of_horizon in rows.groupby("horizon", sort=False)
        }
        # The live version that was deployed last is the one taken back.
        tops = rows[
            [
                stacks[horizon][-1] == version_id
                for horizon, version_id in zip(
                    rows["horizon"], rows["version_id"], strict=True
                )
            ]
        ]
        last = tops.sort_values(["effective_at", "created_at"], kind="stable")[
            "version_id"
        ].iloc[-1]
        back = {
            horizon: stack[-2]
            for horizon, stack in stacks.items()
            if stack[-1] == last and len(stack) > 1
        }
        if not back:
            stuck.append(f"{ticker} {timeframe} ({last})")
        for horizon, version_id in back.items():
            found.setdefault((version_id, str(ticker)), []).append(horizon)
    if stuck or not found:
        raise DeploymentError(
            "There is no earlier version to go back to for "
            f"{_some(stuck) or 'any series'}: none was live before. Nothing "
            "was changed. Name other series with --symbols and --timeframes, "
            "or train again: swiftbolt train --all"
        )
    versions = read_versions(warehouse, [key[0] for key in found])
    return [
        (
            versions[version_id],
            tuple(h for h in versions[version_id].horizons if h in horizons),
        )
        for (version_id, _), horizons in found.items()
    ]


def deployment_stack(version_ids: Iterable[str]) -> list[str]:
    """Versions that a horizon can be rolled back through, the live one last.

    Going back to a version takes those after it off.

    Examples
    --------
    >>> deployment_stack(["A", "B", "C", "B"])
    ['A', 'B']
    >>> deployment_stack(["A", "B", "A", "C"])
    ['A', 'C']
    """
    stack: list[str] = []
    for version_id in version_ids:
        if version_id in stack:
            del stack[stack.index(version_id) + 1 :]
        else:
            stack.append(version_id)
    return stack


def _move_to(
    warehouse: Warehouse, spans: pd.DataFrame, to: str
) -> tuple[Version, tuple[str, ...]]:
    version = read_version(warehouse, to)
    rows = spans[
        (spans["ticker"] == version.ticker)
        & (spans["timeframe"] == version.timeframe)
    ]
    stacks = {
        str(horizon): deployment_stack(of_horizon["version_id"])
        for horizon, of_horizon in rows.groupby("horizon", sort=False)
    }
    horizons = tuple(
        name for name in version.horizons if to in stacks.get(name, [])[:-1]
    )
    if not horizons:
        raise DeploymentError(
            f"Version {to} was not live before what is live now for "
            f"{version.series}, so there is no going back to it. Deploy it "
            f'with: swiftbolt models promote {to} --reason "..."'
        )
    return version, horizons


def _deploy(
    warehouse: Warehouse,
    connection: sa.Connection,
    moves: Sequence[tuple[Version, tuple[str, ...]]],
    *,
    reason: str,
    effective_at: datetime | None,
    job_run_id: int,
) -> pd.DataFrame:
    """Check and write deployments, all or none."""
    if not reason.strip():
        raise SettingsError("A reason is needed, for the record.")
    if effective_at is not None and effective_at.tzinfo is None:
        raise SettingsError(f"effective_at {effective_at} has no time zone.")
    time = effective_at or datetime.now(UTC)
    feature_names = read_feature_names(warehouse)
    verified: set[SharedArtifact] = set()
    for version, _ in moves:
        check_usable(warehouse, version, feature_names, verified=verified)
        if time < version.as_of:
            raise DeploymentError(
                f"Version {version.version_id} knows bars up to "
                f"{version.as_of:%Y-%m-%d %H:%M} and cannot be live from "
                f"{time:%Y-%m-%d %H:%M} on. Use a later --effective-at, or "
                "leave it out."
            )
    _check_time(warehouse, moves, time)
    insert_deployments(
        connection,
        [
            {
                "symbol_id": version.symbol_id,
                "timeframe": version.timeframe,
                "version_id": version.version_id,
                "horizons": list(horizons),
                "effective_at": time,
                "reason": reason,
                "job_run_id": job_run_id,
            }
            for version, horizons in moves
        ],
    )
    for version, horizons in moves:
        log_event(
            logger,
            "deployed",
            version_id=version.version_id,
            horizons=",".join(horizons),
            effective_at=time,
        )
    return pd.DataFrame(
        {
            "ticker": [version.ticker for version, _ in moves],
            "timeframe": [version.timeframe for version, _ in moves],
            "version_id": [version.version_id for version, _ in moves],
            "horizons": [list(horizons) for _, horizons in moves],
            "effective_at": pd.Timestamp(time),
        }
    )


def _check_time(
    warehouse: Warehouse,
    moves: Sequence[tuple[Version, tuple[str, ...]]],
    time: datetime,
) -> None:
    """Refuse what would contradict the ledger, or never be live."""
    against = read_frame(
        warehouse,
        """
        select
            symbol_id,
            timeframe,
            max(closed_at) as forecast_at,
            cast(null as timestamptz) as deployed_at
        from {ml}.forecasts
        where
            run_kind = 'live'
            and closed_at >= :time
            and symbol_id = any(:symbol_ids)
        group by symbol_id, timeframe
        union all
        select
            symbol_id,
            timeframe,
            cast(null as timestamptz),
            max(effective_at)
        from {ml}.deployments
        where
            effective_at > :time
            and symbol_id = any(:symbol_ids)
        group by symbol_id, timeframe
        """,
        {
            "time": time,
            "symbol_ids": [version.symbol_id for version, _ in moves],
        },
    )
    series = {(v.symbol_id, v.timeframe): v for v, _ in moves}
    for row in against.to_dict("records"):
        version = series.get((row["symbol_id"], row["timeframe"]))
        if version is None:
            continue
        if pd.notna(row["forecast_at"]):
            raise DeploymentError(
                f"A live forecast of {version.series} for the bar closed at "
                f"{row['forecast_at']:%Y-%m-%d %H:%M} is on record, which a "
                f"deployment from {time:%Y-%m-%d %H:%M} on would belie. Use a "
                "later --effective-at, or leave it out."
            )
        raise DeploymentError(
            f"Another deployment of {version.series} takes effect at "
            f"{row['deployed_at']:%Y-%m-%d %H:%M}, after "
            f"{time:%Y-%m-%d %H:%M}. Use a later --effective-at, or leave it "
            "out."
        )


# ------------------------------------------------------------------ compare


def compare_versions(
    warehouse: Warehouse, version_a: str, version_b: str
) -> pd.DataFrame:
    """Two versions of one series side by side, horizon by horizon.

    The paired difference is taken on bars of which both have a forecast in
    the ledger or, where a bar is not there, a validation row scored by
    weights from before it.

    Parameters
    ----------
    warehouse : Warehouse
    version_a, version_b : str

    Returns
    -------
    DataFrame of shape (n_horizons, n_columns)
        `horizon`; `<metric>_a` and `<metric>_b` from `ml.training_runs`;
        `n_paired` bars, `log_loss_a`, `log_loss_b` over them, `difference`
        (b less a, below 0 means b is better) and `difference_se`.

    Raises
    ------
    UnknownVersionError
        If a version is not on record, or they are of different series.
    """
    a, b = (read_version(warehouse, name) for name in (version_a, version_b))
    if (a.symbol_id, a.timeframe) != (b.symbol_id, b.timeframe):
        raise UnknownVersionError(
            f"{version_a} is of {a.series}, {version_b} of {b.series}: name "
            "two versions of one series. See: swiftbolt models list"
        )
    runs = read_frame(
        warehouse,
        f"""
        select version_id, horizon, {", ".join(METRICS)}
        from {{ml}}.training_runs
        where version_id = any(:version_ids) and status = 'succeeded'
        order by training_run_id
        """,
        {"version_ids": [version_a, version_b]},
    )
    rows = []
    said = {v.version_id: _said(warehouse, v) for v in (a, b)}
    session_bars = _session_bars(warehouse, a)
    for horizon in dict.fromkeys((*a.horizons, *b.horizons)):
        row: dict[str, Any] = {"horizon": horizon}
        for side, version in (("a", a), ("b", b)):
            mine = runs[
                (runs["version_id"] == version.version_id)
                & (runs["horizon"] == horizon)
            ]
            for metric in METRICS:
                row[f"{metric}_{side}"] = (
                    mine[metric].iloc[0] if len(mine) else None
                )
        row |= _paired(
            said[a.version_id], said[b.version_id], horizon, session_bars
        )
        rows.append(row)
    return pd.DataFrame(rows)


def _paired(
    a: pd.DataFrame, b: pd.DataFrame, horizon: str, session_bars: int
) -> dict[str, Any]:
    both = a[a["horizon"] == horizon].merge(
        b[b["horizon"] == horizon], on="bar_number", suffixes=("_a", "_b")
    )
    found: dict[str, Any] = {
        "n_paired": len(both),
        "log_loss_a": None,
        "log_loss_b": None,
        "difference": None,
        "difference_se": None,
    }
    if both.empty:
        return found
    difference = (both["loss_b"] - both["loss_a"]).to_numpy()
    block_bars = promotion_block_bars(
        session_bars, int(both["horizon_bars_a"].iloc[0])
    )
    error = block_standard_error(
        difference, both["bar_number"].to_numpy() // block_bars
    )
    return found | {
        "log_loss_a": float(both["loss_a"].mean()),
        "log_loss_b": float(both["loss_b"].mean()),
        "difference": float(difference.mean()),
        "difference_se": error if np.isfinite(error) else None,
    }


def _said(warehouse: Warehouse, version: Version) -> pd.DataFrame:
    """Log loss of a version by horizon and bar, the ledger before validation.

    Columns `horizon`, `horizon_bars`, `bar_number`, `loss`.
    """
    ledger = read_frame(
        warehouse,
        """
        select
            forecasts.horizon,
            forecasts.horizon_bars,
            forecasts.bar_number,
            forecasts.probability_bearish,
            forecasts.probability_neutral,
            forecasts.probability_bullish,
            labels.label
        from {ml}.forecasts as forecasts
        inner join {features}.labels as labels
            on
                forecasts.symbol_id = labels.symbol_id
                and forecasts.timeframe = labels.timeframe
                and forecasts.horizon = labels.horizon
                and forecasts.bar_number = labels.bar_number
        where
            forecasts.version_id = :version_id
            and forecasts.symbol_id = :symbol_id
            and not forecasts.is_late
            and labels.label is not null
        """,
        {"version_id": version.version_id, "symbol_id": version.symbol_id},
    )
    P = ledger[[f"probability_{name.lower()}" for name in CLASSES]].to_numpy(
        dtype=np.float64
    )
    y = ledger["label"].map({name: i for i, name in enumerate(CLASSES)})
    frames = [
        ledger[["horizon", "horizon_bars", "bar_number"]].assign(
            loss=log_losses(P, np.asarray(y, dtype=np.int64))
        )
    ]
    # A pruned or damaged artifact leaves the ledger to compare.
    with contextlib.suppress(ArtifactError):
        frames += _said_in_validation(warehouse, version)
    return pd.concat(frames, ignore_index=True).drop_duplicates(
        ["horizon", "bar_number"]
    )


def _said_in_validation(
    warehouse: Warehouse, version: Version
) -> list[pd.DataFrame]:
    ensemble = load_ensemble(warehouse, version.version_id)
    grid = read_frame(
        warehouse,
        """
        select bar_number, closed_at
        from {features}.bar_grid
        where
            calendar = :calendar
            and timeframe = :timeframe
            and closed_at <= :as_of
        """,
        {
            "calendar": version.calendar,
            "timeframe": version.timeframe,
            "as_of": version.as_of,
        },
    )
    numbers = pd.Series(
        grid["bar_number"].to_numpy(),
        index=grid["closed_at"].dt.tz_convert("UTC").dt.tz_localize(None),
    )
    frames = []
    for name, horizon in ensemble.horizons.items():
        held = horizon.validation
        if held is None:
            continue
        weighing = weighing_of(held, horizon.horizon_bars)
        with contextlib.suppress(NotEnoughDataError):
            [score] = score_in_time_order([held], weighing)
            P: FloatArray = score.probabilities
            frames.append(
                pd.DataFrame(
                    {
                        "horizon": name,
                        "horizon_bars": horizon.horizon_bars,
                        "bar_number": pd.Series(held.closed_at[score.rows])
                        .map(numbers)
                        .to_numpy(),
                        "loss": log_losses(P, held.y[score.rows]),
                    }
                )
            )
    return frames


def _session_bars(warehouse: Warehouse, version: Version) -> int:
    found = read_frame(
        warehouse,
        """
        select coalesce(max(full_session_bars), 1) as session_bars
        from {features}.bar_grid
        where calendar = :calendar and timeframe = :timeframe
        """,
        {"calendar": version.calendar, "timeframe": version.timeframe},
    )
    return int(found["session_bars"].iloc[0])


# ---------------------------------------------------------- verify and prune


def verify_versions(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Compare every artifact on record with its checksum.

    Returns
    -------
    DataFrame of shape (n_artifacts, n_columns)
        `ticker`, `timeframe`, `version_id`, `artifact_path` and `state`:
        intact, damaged or pruned. A pooled member stands below every version
        that refers to it.
    """
    versions = read_versions(warehouse)
    pruned = _pruned_paths(warehouse)
    states: dict[SharedArtifact, str] = {}

    def state(one: Version | SharedArtifact) -> str:
        if isinstance(one, Version):
            return _state(warehouse, one)
        if one not in states:
            states[one] = (
                "pruned"
                if one.artifact_path in pruned
                else _state(warehouse, one)
            )
        return states[one]

    frame = pd.DataFrame(
        [
            {
                "ticker": version.ticker,
                "timeframe": version.timeframe,
                "version_id": version.version_id,
                "artifact_path": one.artifact_path,
                "state": state(one),
            }
            for version in versions.values()
            for one in version.artifacts
        ],
        columns=[
            *("ticker", "timeframe", "version_id", "artifact_path", "state")
        ],
    )
    return _choose(warehouse, frame, symbols, timeframes)


def _state(warehouse: Warehouse, one: Version | SharedArtifact) -> str:
    if isinstance(one, Version) and one.removed_at is not None:
        return "pruned"
    is_whole = is_intact(
        artifact_file(warehouse, one),
        sha256=one.sha256,
        folder=warehouse.settings.artifacts_dir,
    )
    return "intact" if is_whole else "damaged"


def _pruned_paths(warehouse: Warehouse) -> set[str]:
    query = "select artifact_path from {ml}.artifact_removals"
    return set(read_frame(warehouse, query)["artifact_path"])


@dataclass(frozen=True)
class Pruning:
    """What a prune removes, or would.

    Parameters
    ----------
    is_done : bool
        False for a dry run.
    versions : DataFrame
        `ticker`, `timeframe`, `version_id`, `created_at`, `artifact_path`,
        `sha256`, `megabytes`.
    shared : DataFrame
        `artifact_path`, `sha256`, `megabytes` of pooled members that no
        version refers to any more.
    """

    is_done: bool
    versions: pd.DataFrame
    shared: pd.DataFrame

    @property
    def artifacts(self) -> pd.DataFrame:
        """Both: `artifact_path`, `sha256`, `megabytes`, `version_id`."""
        columns = ["artifact_path", "sha256", "megabytes"]
        return pd.concat(
            [
                self.versions[["version_id", *columns]],
                self.shared[columns].assign(version_id=None),
            ],
            ignore_index=True,
        )


def prune(
    warehouse: Warehouse,
    *,
    keep: int,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    is_dry_run: bool = True,
) -> Pruning:
    """Remove artifacts of old versions that were never deployed.

    The newest `keep` of each series stay, every version that is or was
    deployed, and what any of these shares. Rows stay for ever;
    `ml.artifact_removals` says which artifacts went.

    Parameters
    ----------
    warehouse : Warehouse
    keep : int
        Newest versions of each series to keep, at least 1.
    symbols, timeframes : sequence of str, optional
        By default all.
    is_dry_run : bool, default=True
        Only say what would go.

    Raises
    ------
    SettingsError
        If `keep` is below 1.
    """
    if keep < 1:
        raise SettingsError(f"keep is {keep}; keep 1 or more versions.")
    with (
        job_run(
            warehouse, "prune", {"keep": keep, "is_dry_run": is_dry_run}
        ) as job,
        # A training may be about to refer to what nothing refers to yet.
        excluding(warehouse, "train"),
    ):
        with warehouse.begin() as connection:
            lock_deployments(connection, warehouse)
            pruning = _plan(
                warehouse,
                keep=keep,
                symbols=symbols,
                timeframes=timeframes,
                is_dry_run=is_dry_run,
            )
            artifacts = pruning.artifacts
            if not is_dry_run and len(artifacts):
                now = datetime.now(UTC)
                connection.execute(
                    schema.artifact_removals.insert(),
                    [
                        {
                            "artifact_path": row["artifact_path"],
                            "version_id": row["version_id"],
                            "sha256": row["sha256"],
                            "reason": f"pruned, keep {keep}",
                            "job_run_id": job.job_run_id,
                            "removed_at": now,
                        }
                        for row in artifacts.to_dict("records")
                    ],
                )
        if not is_dry_run:
            # Also what an interrupted prune recorded and left lying.
            for path in _pruned_paths(warehouse):
                (warehouse.settings.home / path).unlink(missing_ok=True)
            job.counts["removed"] = len(artifacts)
    return pruning


def _plan(
    warehouse: Warehouse,
    *,
    keep: int,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    is_dry_run: bool,
) -> Pruning:
    versions = read_versions(warehouse)
    query = "select distinct version_id from {ml}.deployments"
    deployed = set(read_frame(warehouse, query)["version_id"])
    by_series: dict[tuple[int, str], list[str]] = {}
    for version in versions.values():
        key = (version.symbol_id, version.timeframe)
        by_series.setdefault(key, []).append(version.version_id)
    newest = {name for names in by_series.values() for name in names[-keep:]}
    in_use = artifacts_in_use(versions, deployed | newest)
    frame = _choose(
        warehouse,
        _pruning_frame(
            warehouse,
            [
                version
                for version in versions.values()
                if version.artifact_path not in in_use
                and version.removed_at is None
            ],
        ),
        symbols,
        timeframes,
        is_empty_fine=True,
    )
    gone = set(frame["version_id"])
    left = {
        name
        for name, version in versions.items()
        if name not in gone and version.removed_at is None
    }
    needed = artifacts_in_use(versions, left)
    pruned = _pruned_paths(warehouse)
    shared = [
        one
        for one in read_shared_artifacts(warehouse)
        if one.artifact_path not in needed | pruned
    ]
    return Pruning(
        not is_dry_run,
        frame,
        pd.DataFrame(
            [
                {
                    "artifact_path": one.artifact_path,
                    "sha256": one.sha256,
                    "megabytes": _megabytes(warehouse, one),
                }
                for one in shared
            ],
            columns=["artifact_path", "sha256", "megabytes"],
        ),
    )


def artifacts_in_use(
    versions: Mapping[str, Version], kept: AbstractSet[str]
) -> set[str]:
    """Artifacts that versions need: their own and what they refer to.

    Parameters
    ----------
    versions : mapping of str to Version
        All on record.
    kept : set of str
        Names of the versions that must stay usable.

    Returns
    -------
    set of str
        Paths below `SWIFTBOLT_HOME`: of the versions, of those that they took
        their members from and of the pooled members of all of these.
    """
    paths: set[str] = set()
    waiting = list(kept)
    while waiting:
        version = versions.get(waiting.pop())
        if version is None or version.artifact_path in paths:
            continue
        paths.add(version.artifact_path)
        paths.update(one.artifact_path for one in version.shared)
        if version.members_version_id is not None:
            waiting.append(version.members_version_id)
    return paths


def _megabytes(warehouse: Warehouse, one: Version | SharedArtifact) -> float:
    try:
        return artifact_file(warehouse, one).stat().st_size / 1e6
    except OSError:
        return 0.0


def _pruning_frame(
    warehouse: Warehouse, doomed: Sequence[Version]
) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "ticker": version.ticker,
                "timeframe": version.timeframe,
                "version_id": version.version_id,
                "created_at": pd.Timestamp(version.created_at),
                "artifact_path": version.artifact_path,
                "sha256": version.sha256,
                "megabytes": _megabytes(warehouse, version),
            }
            for version in doomed
        ],
        columns=[
            *("ticker", "timeframe", "version_id", "created_at"),
            *("artifact_path", "sha256", "megabytes"),
        ],
    )


# ------------------------------------------------------------------- shared


def _choose(
    warehouse: Warehouse,
    frame: pd.DataFrame,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    *,
    is_empty_fine: bool = False,
) -> pd.DataFrame:
    """Rows of the series asked for; unknown names are refused."""
    if symbols is not None:
        known = set(
            read_frame(warehouse, "select ticker from {raw}.symbols")["ticker"]
        )
        unknown = [name for name in symbols if name not in known]
        if unknown:
            raise UnknownSeriesError(
                f"Unknown symbol {', '.join(unknown)}; the warehouse has "
                f"{_some(sorted(known))}."
            )
        frame = frame[frame["ticker"].isin(list(symbols))]
    if timeframes is not None:
        frame = frame[frame["timeframe"].isin(list(timeframes))]
    if frame.empty and not is_empty_fine:
        what = " ".join(
            _some(list(names)) for names in (symbols, timeframes) if names
        )
        raise NoEnsembleError(
            f"There is nothing on record for {what or 'any series'}. Train "
            "first: swiftbolt train --all"
        )
    return frame.reset_index(drop=True)


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    from python_ml.tables import to_records

    return to_records(frame)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_NAMES])
    hidden = len(names) - MAX_NAMES
    return f"{shown} and {hidden} more" if hidden > 0 else shown
