"""Two versions of a series side by side, and on the same bars."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from python_ml.ensemble import CLASSES
from python_ml.examples.catalog import read_session_bars
from python_ml.examples.weighting import read_weighting
from python_ml.exceptions import (
    ArtifactError,
    NotEnoughDataError,
    UnknownVersionError,
)
from python_ml.registry.promotion.verdict import promotion_block_bars
from python_ml.registry.validation_scores import (
    read_bar_numbers,
    score_validation,
    stack_classes,
)
from python_ml.registry.versions import Version, load_version, read_version
from python_ml.scoring.metrics import block_standard_error, log_losses
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

    The paired difference is taken on bars for which both have a settled
    forecast that counts (`forecasting.ledger`) or, where a bar is not there, a
    validation row scored by weights from before it.

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
    metrics = _read_metrics(warehouse, (a, b))
    losses = read_losses(warehouse, (a, b))
    session_bars = read_session_bars(warehouse, a.calendar, a.timeframe)
    return pd.DataFrame(
        [
            {"horizon": horizon}
            | {
                f"{metric}_{side}": metrics.get((name, horizon), {}).get(metric)
                for side, name in (("a", version_a), ("b", version_b))
                for metric in METRICS
            }
            | _pair_losses(
                losses[version_a], losses[version_b], horizon, session_bars
            )
            for horizon in dict.fromkeys((*a.horizons, *b.horizons))
        ]
    )


def _read_metrics(
    warehouse: Warehouse, versions: Sequence[Version]
) -> dict[tuple[str, str], dict[str, Any]]:
    """What training measured, by version and horizon; the first run counts."""
    runs = read_frame(
        warehouse,
        f"""
        select version_id, horizon, {", ".join(METRICS)}
        from {{ml}}.training_runs
        where version_id = any(:version_ids) and status = 'succeeded'
        order by training_run_id
        """,
        {"version_ids": [version.version_id for version in versions]},
    ).drop_duplicates(["version_id", "horizon"])
    return {
        (row["version_id"], row["horizon"]): {
            str(name): row[name] for name in row
        }
        for row in runs.to_dict("records")
    }


def _pair_losses(
    a: pd.DataFrame, b: pd.DataFrame, horizon: str, session_bars: int
) -> dict[str, Any]:
    both = a[a["horizon"] == horizon].merge(
        b[b["horizon"] == horizon], on="bar_number", suffixes=("_a", "_b")
    )
    paired: dict[str, Any] = {
        "n_paired": len(both),
        "log_loss_a": None,
        "log_loss_b": None,
        "difference": None,
        "difference_se": None,
    }
    if both.empty:
        return paired
    difference = (both["loss_b"] - both["loss_a"]).to_numpy()
    block_bars = promotion_block_bars(
        session_bars, int(both["horizon_bars_a"].iloc[0])
    )
    error = block_standard_error(
        difference, both["bar_number"].to_numpy() // block_bars
    )
    return paired | {
        "log_loss_a": float(both["loss_a"].mean()),
        "log_loss_b": float(both["loss_b"].mean()),
        "difference": float(difference.mean()),
        "difference_se": error if np.isfinite(error) else None,
    }


def read_losses(
    warehouse: Warehouse, versions: Sequence[Version]
) -> dict[str, pd.DataFrame]:
    """Log loss of versions of one series, the ledger before validation.

    Returns
    -------
    dict of str to DataFrame
        By version: `horizon`, `horizon_bars`, `bar_number` and `loss`, one row
        per horizon and bar.
    """
    ledger = _read_ledger_losses(warehouse, versions)
    losses = {}
    for version in versions:
        is_own = ledger["version_id"] == version.version_id
        frames = [ledger[is_own].drop(columns="version_id")]
        # A pruned or damaged artifact leaves the ledger to compare.
        with contextlib.suppress(ArtifactError):
            frames += _read_validation_losses(warehouse, version)
        losses[version.version_id] = pd.concat(
            frames, ignore_index=True
        ).drop_duplicates(["horizon", "bar_number"])
    return losses


def _read_ledger_losses(
    warehouse: Warehouse, versions: Sequence[Version]
) -> pd.DataFrame:
    ledger = read_frame(
        warehouse,
        """
        select
            ledger.version_id,
            ledger.horizon,
            ledger.horizon_bars,
            ledger.bar_number,
            ledger.probability_bearish,
            ledger.probability_neutral,
            ledger.probability_bullish,
            outcomes.outcome
        from {forecasting}.ledger as ledger
        inner join {forecasting}.forecast_outcomes as outcomes
            on
                ledger.forecast_id = outcomes.forecast_id
                and ledger.symbol_id = outcomes.symbol_id
                and ledger.timeframe = outcomes.timeframe
        where
            ledger.symbol_id = :symbol_id
            and ledger.timeframe = :timeframe
            and ledger.version_id = any(:version_ids)
        order by ledger.horizon_bars, ledger.bar_number
        """,
        {
            "symbol_id": versions[0].symbol_id,
            "timeframe": versions[0].timeframe,
            "version_ids": [version.version_id for version in versions],
        },
    )
    y = ledger["outcome"].map({name: i for i, name in enumerate(CLASSES)})
    return ledger[
        ["version_id", "horizon", "horizon_bars", "bar_number"]
    ].assign(
        loss=log_losses(
            stack_classes(ledger, "probability"), np.asarray(y, dtype=np.int64)
        )
    )


def _read_validation_losses(
    warehouse: Warehouse, version: Version
) -> list[pd.DataFrame]:
    """Of each horizon whose validation is long enough to score."""
    ensemble = load_version(warehouse.settings, version)
    bar_numbers = read_bar_numbers(
        warehouse, version.calendar, version.timeframe, as_of=version.as_of
    )
    settings = read_weighting(warehouse)[version.timeframe]
    frames = []
    for name, horizon in ensemble.horizons.items():
        if horizon.validation is None:
            continue
        with contextlib.suppress(NotEnoughDataError):
            scored = score_validation(
                {version.symbol_id: horizon}, bar_numbers, settings
            )
            frames.append(
                pd.DataFrame(
                    {
                        "horizon": name,
                        "horizon_bars": horizon.horizon_bars,
                        "bar_number": scored["bar_number"],
                        "loss": log_losses(
                            stack_classes(scored, "probability"),
                            scored["y"].to_numpy(),
                        ),
                    }
                )
            )
    return frames
