"""Training rows of each series under a cut, in bulk.

A few queries per timeframe, whatever the number of series.
"""

from collections.abc import Sequence

import numpy as np

from python_ml.examples.arrays import HorizonExamples, SeriesExamples
from python_ml.examples.bar_paths import BarPath, read_bar_paths
from python_ml.examples.catalog import read_session_bars
from python_ml.examples.climatology import (
    FIT_SHARES,
    WINDOW_SHARES,
    read_climatologies,
)
from python_ml.examples.frames import to_times
from python_ml.examples.labelled_rows import EXAMPLES, read_labelled_rows
from python_ml.examples.series import Series
from python_ml.warehouse.connection import Warehouse


def read_examples(
    warehouse: Warehouse,
    cut_id: int,
    series: Sequence[Series],
    feature_names: Sequence[str],
    *,
    n_path_bars: int = 0,
) -> dict[int, SeriesExamples]:
    """Training rows of the series of one cut.

    Parameters
    ----------
    warehouse : Warehouse
    cut_id : int
    series : sequence of Series
        Of one calendar and timeframe.
    feature_names : sequence of str
        Columns of `X`.
    n_path_bars : int, default=0
        Last bars up to each row's own; with 0 none are read.

    Returns
    -------
    dict of int to SeriesExamples
        By symbol_id; series without rows are absent.
    """
    by_symbol = {one.symbol_id: one for one in series}
    calendar, timeframe = series[0].calendar, series[0].timeframe
    rows = read_labelled_rows(
        warehouse,
        EXAMPLES,
        {
            "cut_id": cut_id,
            "timeframe": timeframe,
            "symbol_ids": list(by_symbol),
        },
        feature_names,
        measures=("closed_at", "label_return", "expected_volatility"),
        order_by="symbol_id, horizon_bars, bar_number",
    )
    climatologies = read_climatologies(warehouse, cut_id)
    session_bars = read_session_bars(warehouse, calendar, timeframe)
    labels = rows.labels
    moves = (labels["label_return"] / labels["expected_volatility"]).to_numpy(
        dtype=np.float64
    )
    bar_numbers = rows.integers("bar_number")
    closed_at = to_times(labels["closed_at"])
    paths: dict[int, BarPath] = {}
    if n_path_bars and len(bar_numbers):
        paths = read_bar_paths(
            warehouse,
            timeframe,
            list(by_symbol),
            first_bar_number=int(bar_numbers.min()) - n_path_bars + 1,
            last_bar_number=int(bar_numbers.max()),
        )
    horizons: dict[int, list[HorizonExamples]] = {}
    for first, last in rows.runs("symbol_id", "horizon_bars"):
        used = slice(first, last)
        symbol_id = int(labels["symbol_id"].iloc[first])
        horizon = str(labels["horizon"].iloc[first])
        horizons.setdefault(symbol_id, []).append(
            HorizonExamples(
                horizon=horizon,
                horizon_bars=int(labels["horizon_bars"].iloc[first]),
                X=rows.features(np.arange(first, last)),
                y=rows.y[used],
                moves=moves[used],
                bar_numbers=bar_numbers[used],
                closed_at=closed_at[used],
                label_end_at=rows.label_end_at[used],
                split_parts=rows.split_parts[used],
                fit_climatology=climatologies.of(
                    symbol_id, horizon, FIT_SHARES
                ),
                window_climatology=climatologies.of(
                    symbol_id, horizon, WINDOW_SHARES
                ),
                session_bars=session_bars,
                bars=paths.get(symbol_id),
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
