"""Forecasts of examples by one version: probabilities, target and bands."""

from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from python_ml.ensemble import CLASSES, Ensemble, FloatArray, HorizonEnsemble
from python_ml.exceptions import FeatureMismatchError
from python_ml.registry.artifacts import TRAIN_COMMAND
from python_ml.scoring.bands import end_names, price_bands, price_target

SECONDS_A_DAY = 86400

# What a forecast takes over from its scoring example as it is.
COPIED_COLUMNS = [
    "symbol_id",
    "timeframe",
    "horizon",
    "horizon_bars",
    "bar_number",
    "closed_at",
    "target_bar_number",
    "target_at",
    "reference_close",
    "expected_volatility",
    "forecast_volatility",
    "label_threshold",
    "version_id",
    "late_after",
    # Facts that trust is judged by.
    "n_carried_bars",
    "is_coverage_broken",
    "days_since_forecast",
]


def score(ensemble: Ensemble, examples: pd.DataFrame) -> pd.DataFrame:
    """Forecast every example with one version; pure, no database.

    Parameters
    ----------
    ensemble : Ensemble
    examples : DataFrame of shape (n_examples, n_columns)
        Rows of `features.scoring_examples` of the ensemble's series, for
        horizons that it has, with what `read_due_examples` adds and the ends of
        their bands (`python_ml.forecasting.band_ends.with_band_ends`).

    Returns
    -------
    DataFrame of shape (n_examples, n_forecast_columns)
        Columns of `ml.forecasts` that do not depend on when it is issued,
        `late_after`, on which it depends whether it is late, and the facts
        that trust is judged by (`python_ml.forecasting.trust`).

    Raises
    ------
    FeatureMismatchError
        If a feature is gone or not finite, or a horizon has another length.
    """
    ensemble.check_features(
        [name for name in ensemble.feature_names if name in examples]
    )
    # For so few rows threads only wait for each other.
    with threadpool_limits(limits=1):
        scored = [
            _score_horizon(ensemble, ensemble.horizons[str(horizon)], rows)
            for horizon, rows in examples.groupby("horizon", sort=False)
        ]
    return pd.concat(scored, ignore_index=True)


def _score_horizon(
    ensemble: Ensemble, horizon: HorizonEnsemble, examples: pd.DataFrame
) -> pd.DataFrame:
    X = examples[list(ensemble.feature_names)].to_numpy(dtype=np.float64)
    _check_examples(ensemble, horizon, examples, X)
    by_member = horizon.member_probabilities(X)
    probabilities = horizon.combine(by_member)
    largest = probabilities.argmax(axis=1)
    close, sigma = examples["reference_close"], examples["forecast_volatility"]
    ends = examples[end_names("end")].to_numpy(dtype=np.float64)

    # A column added to a frame costs more than a forecast.
    rows: dict[str, Any] = {name: examples[name] for name in COPIED_COLUMNS}
    for position, name in enumerate(CLASSES):
        column = name.lower()
        rows[f"probability_{column}"] = probabilities[:, position]
        rows[f"climatology_{column}"] = horizon.climatology[position]
    rows["direction"] = np.array(CLASSES, dtype=object)[largest]
    rows["confidence"] = np.maximum(
        probabilities.max(axis=1) - horizon.climatology[largest], 0.0
    )
    members: list[Any] = [
        {name: by_member[name][row].tolist() for name in by_member}
        for row in range(len(examples))
    ]
    rows["member_probabilities"] = members
    rows["price_target"] = price_target(close, sigma, ends)
    for level, band in price_bands(close, sigma, ends).items():
        rows[f"lower_{level:.0%}".rstrip("%")] = band.lower
        rows[f"upper_{level:.0%}".rstrip("%")] = band.upper
    age = examples["closed_at"] - examples["trained_as_of"]
    rows["version_age_days"] = age.dt.total_seconds() / SECONDS_A_DAY
    rows["n_features_beyond"] = horizon.n_beyond(X)
    rows["is_climatology_alone"] = horizon.weights.get("climatology") == 1
    return pd.DataFrame(rows)


def _check_examples(
    ensemble: Ensemble,
    horizon: HorizonEnsemble,
    examples: pd.DataFrame,
    X: FloatArray,
) -> None:
    lengths = set(examples["horizon_bars"].unique().tolist())
    if lengths != {horizon.horizon_bars}:
        raise FeatureMismatchError(
            f"Ensemble {ensemble.version_id} was trained for "
            f"{horizon.horizon} of {horizon.horizon_bars} bars, but now "
            f"{horizon.horizon} has "
            f"{', '.join(map(str, sorted(lengths)))}. Train again: "
            + TRAIN_COMMAND.format(
                ticker=ensemble.ticker, timeframe=ensemble.timeframe
            )
        )
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise FeatureMismatchError(
            f"Feature {ensemble.feature_names[column]} of {ensemble.ticker} "
            f"{ensemble.timeframe} is not a number at "
            f"{examples['closed_at'].iloc[row]}, though the row is usable. "
            "See which rows and why: swiftbolt validate"
        )
