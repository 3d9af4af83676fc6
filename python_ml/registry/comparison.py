"""Two versions of a series side by side, and on the same bars."""

import contextlib
from typing import Any

import numpy as np
import pandas as pd

from python_ml.ensemble import CLASSES
from python_ml.exceptions import (
    ArtifactError,
    NotEnoughDataError,
    UnknownVersionError,
)
from python_ml.registry.promotion import promotion_block_bars
from python_ml.registry.versions import (
    Version,
    load_version,
    read_version,
)
from python_ml.scoring.metrics import (
    block_standard_error,
    log_losses,
)
from python_ml.scoring.recipe import (
    predictions_of_recipe,
    weighing_of,
)
from python_ml.scoring.time_order import score_in_time_order
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

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
            "two versions of one series. See: swiftbolt models list "
            f"--symbols {a.ticker}"
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
    ensemble = load_version(warehouse, version)
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
            P = predictions_of_recipe(horizon, score)
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
