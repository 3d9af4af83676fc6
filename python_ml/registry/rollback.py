"""Deploy versions by hand, and go back to those that were live before.

Both add rows to `ml.deployments` and refuse what could not forecast, would
contradict a live forecast, or would never be live.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import sqlalchemy as sa

from python_ml.console.logs import get_logger, log_event
from python_ml.console.text_tables import some_names
from python_ml.examples.catalog import read_feature_names
from python_ml.exceptions import DeploymentError, SettingsError
from python_ml.registry.deployments import (
    history,
    insert_deployments,
    live_versions,
    lock_deployments,
)
from python_ml.registry.versions import (
    SharedArtifact,
    Version,
    check_usable,
    read_version,
    read_versions,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run

logger = get_logger(__name__)


@dataclass(frozen=True)
class _Move:
    """A version to deploy, and the horizons it is to be live for."""

    version: Version
    horizons: tuple[str, ...]


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
        is_live = live["version_id"] == version_id
        if set(chosen) <= set(live.loc[is_live, "horizon"]):
            raise DeploymentError(
                f"Version {version_id} is live for "
                f"{', '.join(chosen)} already. See: swiftbolt models history "
                f"--symbols {version.ticker}"
            )
        return _deploy(
            warehouse,
            connection,
            [_Move(version, chosen)],
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


def _moves_back(warehouse: Warehouse, spans: pd.DataFrame) -> list[_Move]:
    """Version to go back to and its horizons, for every series."""
    now = datetime.now(UTC)
    spans = spans[spans["effective_at"] <= now]
    found: dict[tuple[str, str], list[str]] = {}
    stuck = []
    for (ticker, timeframe), rows in spans.groupby(
        ["ticker", "timeframe"], sort=False
    ):
        stacks = _stacks_by_horizon(rows)
        # The live version that was deployed last is the one taken back.
        live = {horizon: stack[-1] for horizon, stack in stacks.items()}
        tops = rows[rows["horizon"].map(live) == rows["version_id"]]
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
            f"{some_names(stuck) or 'any series'}: none was live before. "
            "Nothing was changed. Name other series with --symbols and "
            "--timeframes, or train again: swiftbolt train --all"
        )
    versions = read_versions(warehouse, [key[0] for key in found])
    return [
        _Move(
            versions[version_id],
            tuple(
                horizon
                for horizon in versions[version_id].horizons
                if horizon in horizons
            ),
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


def _stacks_by_horizon(spans: pd.DataFrame) -> dict[str, list[str]]:
    """Stack of each horizon of one series."""
    return {
        str(horizon): deployment_stack(rows["version_id"])
        for horizon, rows in spans.groupby("horizon", sort=False)
    }


def _move_to(warehouse: Warehouse, spans: pd.DataFrame, to: str) -> _Move:
    version = read_version(warehouse, to)
    rows = spans[
        (spans["ticker"] == version.ticker)
        & (spans["timeframe"] == version.timeframe)
    ]
    stacks = _stacks_by_horizon(rows)
    horizons = tuple(
        name for name in version.horizons if to in stacks.get(name, [])[:-1]
    )
    if not horizons:
        raise DeploymentError(
            f"Version {to} was not live before what is live now for "
            f"{version.series}, so there is no going back to it. Deploy it "
            f'with: swiftbolt models promote {to} --reason "..."'
        )
    return _Move(version, horizons)


def _deploy(
    warehouse: Warehouse,
    connection: sa.Connection,
    moves: Sequence[_Move],
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
    for version in (move.version for move in moves):
        _check_not_of_a_backtest(version)
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
                "symbol_id": move.version.symbol_id,
                "timeframe": move.version.timeframe,
                "version_id": move.version.version_id,
                "horizons": list(move.horizons),
                "effective_at": time,
                "reason": reason,
                "job_run_id": job_run_id,
            }
            for move in moves
        ],
    )
    for move in moves:
        log_event(
            logger,
            "deployed",
            version_id=move.version.version_id,
            horizons=",".join(move.horizons),
            effective_at=time,
        )
    return pd.DataFrame(
        {
            "ticker": [move.version.ticker for move in moves],
            "timeframe": [move.version.timeframe for move in moves],
            "version_id": [move.version.version_id for move in moves],
            "horizons": [list(move.horizons) for move in moves],
            "effective_at": pd.Timestamp(time),
        }
    )


def _check_not_of_a_backtest(version: Version) -> None:
    """Refuse a version that its run decided on and judged by itself."""
    if version.run_name is not None:
        raise DeploymentError(
            f"Version {version.version_id} belongs to the backtest "
            f"{version.run_name}, and those never go live. Train one that may: "
            f"{version.train_command}"
        )


def _check_time(
    warehouse: Warehouse,
    moves: Sequence[_Move],
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
            "symbol_ids": [move.version.symbol_id for move in moves],
        },
    )
    versions = {
        (move.version.symbol_id, move.version.timeframe): move.version
        for move in moves
    }
    for row in against.to_dict("records"):
        version = versions.get((row["symbol_id"], row["timeframe"]))
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
