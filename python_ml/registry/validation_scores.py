"""What recipes predicted of their validation rows, on the bars of the grid."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd

from python_ml.ensemble import CLASSES, FloatArray, HorizonEnsemble
from python_ml.examples.frames import to_times
from python_ml.scoring.recipe import recipe_probabilities, weighing_of
from python_ml.scoring.time_order import score_in_time_order
from python_ml.scoring.weights import WeightSettings
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse


def read_bar_numbers(
    warehouse: Warehouse, calendar: str, timeframe: str, *, as_of: datetime
) -> "pd.Series[int]":
    """Number of each bar of the grid by its close, without time zone."""
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
        {"calendar": calendar, "timeframe": timeframe, "as_of": as_of},
    )
    return pd.Series(
        grid["bar_number"].to_numpy(), index=to_times(grid["closed_at"])
    )


def score_validation(
    ensembles: Mapping[int, HorizonEnsemble],
    bar_numbers: "pd.Series[int]",
    settings: WeightSettings,
) -> pd.DataFrame:
    """Predictions in time order of series that were weighed together.

    Parameters
    ----------
    ensembles : mapping of int to HorizonEnsemble
        Of one horizon, with `validation`, by series; at least one.
    bar_numbers : Series
        What `read_bar_numbers` returned.
    settings : WeightSettings
        How the weights of the timeframe are fitted.

    Returns
    -------
    DataFrame of shape (n_scored, n_columns)
        `symbol_id`, `closed_at`, `bar_number`, `y` and, for each class,
        `probability_<class>` of the recipe and `climatology_<class>`; series
        after series.

    Raises
    ------
    NotEnoughDataError
        If validation has fewer different times than parts.
    """
    validation = {
        symbol_id: ensemble.validation
        for symbol_id, ensemble in ensembles.items()
        if ensemble.validation is not None
    }
    first = next(iter(validation))
    scores = score_in_time_order(
        list(validation.values()),
        weighing_of(validation[first], ensembles[first].horizon_bars, settings),
    )
    frames = []
    for (symbol_id, predictions), score in zip(
        validation.items(), scores, strict=True
    ):
        closed_at = predictions.closed_at[score.rows]
        frames.append(
            pd.DataFrame(
                {
                    "symbol_id": symbol_id,
                    "closed_at": closed_at,
                    "bar_number": pd.Series(closed_at)
                    .map(bar_numbers)
                    .to_numpy(),
                    "y": predictions.y[score.rows],
                    **_by_class(
                        "probability",
                        recipe_probabilities(ensembles[symbol_id], score),
                    ),
                    **_by_class(
                        "climatology",
                        np.tile(predictions.climatology, (len(score.rows), 1)),
                    ),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def stack_classes(frame: pd.DataFrame, prefix: str) -> FloatArray:
    """Columns `<prefix>_<class>` as an array of shape (n_rows, 3)."""
    stacked: FloatArray = frame[
        [f"{prefix}_{name.lower()}" for name in CLASSES]
    ].to_numpy(dtype=np.float64)
    return stacked


def _by_class(prefix: str, P: FloatArray) -> dict[str, FloatArray]:
    return {
        f"{prefix}_{name.lower()}": P[:, i] for i, name in enumerate(CLASSES)
    }
