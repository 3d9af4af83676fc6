"""What training reads from the warehouse, in bulk.

Which series there are and how far their bars reach, and the rows of a cut as
arrays: one query per timeframe, whatever the number of series.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.ensemble import CLASSES
from python_ml.examples.arrays import (
    SPLIT_PARTS,
    HorizonExamples,
    SeriesExamples,
)
from python_ml.examples.catalog import read_session_bars
from python_ml.examples.climatology import (
    FIT_SHARES,
    WINDOW_SHARES,
    read_climatologies,
)
from python_ml.examples.frames import codes_of, runs, to_times
from python_ml.examples.series import Series
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)


def read_examples(
    warehouse: Warehouse,
    cut_id: int,
    series: Sequence[Series],
    feature_names: Sequence[str],
) -> dict[int, SeriesExamples]:
    """Training rows of the series of one cut, in one query.

    Returns
    -------
    dict of int to SeriesExamples
        By symbol_id; series without rows are absent.
    """
    by_symbol = {one.symbol_id: one for one in series}
    keys: dict[str, Any] = {
        "cut_id": cut_id,
        "timeframe": series[0].timeframe,
    }
    columns = ",\n".join(f'"{name}"' for name in feature_names)
    frame = read_frame(
        warehouse,
        f"""
        select
            symbol_id,
            horizon,
            horizon_bars,
            bar_number,
            closed_at,
            label_end_at,
            label,
            label_return,
            expected_volatility,
            split_part,
            {columns}
        from {{features}}.training_examples
        where
            cut_id = :cut_id
            and timeframe = :timeframe
            and symbol_id = any(:symbol_ids)
        order by symbol_id, horizon_bars, bar_number
        """,
        {**keys, "symbol_ids": list(by_symbol)},
    )
    log_event(
        logger,
        "rows_read",
        table="features.training_examples",
        rows=len(frame),
        first=frame["closed_at"].min() if len(frame) else None,
        last=frame["closed_at"].max() if len(frame) else None,
        **keys,
    )
    climatologies = read_climatologies(warehouse, keys)
    session_bars = read_session_bars(
        warehouse, series[0].calendar, series[0].timeframe
    )
    X = frame[list(feature_names)].to_numpy(dtype=np.float64)
    y = codes_of(frame["label"], dict(zip(CLASSES, range(3), strict=True)))
    parts = codes_of(frame["split_part"], SPLIT_PARTS)
    moves = (frame["label_return"] / frame["expected_volatility"]).to_numpy(
        dtype=np.float64
    )
    closed_at = to_times(frame["closed_at"])
    label_end_at = to_times(frame["label_end_at"])
    bar_numbers = frame["bar_number"].to_numpy(dtype=np.int64)
    horizons: dict[int, list[HorizonExamples]] = {}
    for first, last in runs(frame[["symbol_id", "horizon_bars"]].to_numpy()):
        rows = slice(first, last)
        horizon = str(frame["horizon"].iloc[first])
        symbol_id = int(frame["symbol_id"].iloc[first])
        horizons.setdefault(symbol_id, []).append(
            HorizonExamples(
                horizon=horizon,
                horizon_bars=int(frame["horizon_bars"].iloc[first]),
                X=X[rows],
                y=y[rows],
                moves=moves[rows],
                bar_numbers=bar_numbers[rows],
                closed_at=closed_at[rows],
                label_end_at=label_end_at[rows],
                split_parts=parts[rows],
                fit_climatology=climatologies.of(
                    symbol_id, horizon, FIT_SHARES
                ),
                window_climatology=climatologies.of(
                    symbol_id, horizon, WINDOW_SHARES
                ),
                session_bars=session_bars,
            )
        )
    return {
        symbol_id: SeriesExamples(
            symbol_id=symbol_id,
            ticker=by_symbol[symbol_id].ticker,
            calendar=by_symbol[symbol_id].calendar,
            timeframe=by_symbol[symbol_id].timeframe,
            feature_names=tuple(feature_names),
            horizons=tuple(rows_by_horizon),
        )
        for symbol_id, rows_by_horizon in horizons.items()
    }
