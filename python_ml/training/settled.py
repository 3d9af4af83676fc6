"""Settled forecasts in the shape of validation, to weigh members by."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from python_ml.console.logs import get_logger, log_event
from python_ml.ensemble import CLASSES, FloatArray, MemberPredictions
from python_ml.examples.frames import codes_of, to_times
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

LEDGER_QUERY = """
    with

    settled as (
        select
            ledger.*,
            outcomes.outcome,
            outcomes.settled_at,
            max(ledger.bar_number) over () as newest_bar_number
        from {counted} as ledger
        inner join {outcomes} as outcomes
            on
                ledger.forecast_id = outcomes.forecast_id
                and ledger.symbol_id = outcomes.symbol_id
                and ledger.timeframe = outcomes.timeframe
        where
            ledger.timeframe = :timeframe
            and ledger.symbol_id = any(:symbol_ids)
    )

    select
        symbol_id,
        horizon,
        bar_number,
        closed_at,
        target_at,
        settled_at,
        outcome,
        climatology_bearish,
        climatology_neutral,
        climatology_bullish,
        PROBABILITIES
    from settled
    where bar_number > newest_bar_number - :window_bars
    order by horizon, symbol_id, bar_number
"""


def read_settled(
    warehouse: Warehouse,
    *,
    timeframe: str,
    symbol_ids: Sequence[int],
    member_names: Sequence[str],
    window_bars: int,
) -> pd.DataFrame:
    """Forecasts that count and have settled, the newest bars of each series.

    Returns
    -------
    DataFrame
        By horizon, series and bar. Member `i` of `member_names` has columns
        `i_0`, `i_1` and `i_2`, in the order of `CLASSES`; NaN where it was
        not in the ensemble.
    """
    probabilities = ",\n".join(
        "cast(member_probabilities "
        f"-> cast(:member_{number} as text) ->> {i} as double precision) "
        f'as "{number}_{i}"'
        for number in range(len(member_names))
        for i in range(len(CLASSES))
    )
    settled = read_frame(
        warehouse,
        LEDGER_QUERY.replace("PROBABILITIES", probabilities),
        {
            "timeframe": timeframe,
            "symbol_ids": sorted(symbol_ids),
            "window_bars": window_bars,
            **{f"member_{n}": name for n, name in enumerate(member_names)},
        },
    )
    log_event(
        logger,
        "rows_read",
        table="forecasting.ledger",
        timeframe=timeframe,
        rows=len(settled),
    )
    return settled


def rows_with_members(
    settled: pd.DataFrame, names: Sequence[str], member_names: Sequence[str]
) -> pd.DataFrame:
    """Rows in which all of some members predicted; `names` are all of them."""
    columns = [
        column
        for name in names
        for column in _columns(member_names.index(name))
    ]
    return settled.dropna(subset=columns)


def predictions_of(
    rows: pd.DataFrame,
    names: tuple[str, ...],
    member_names: Sequence[str],
    *,
    climatology: FloatArray,
    prior_weights: tuple[float, ...] | None,
) -> MemberPredictions:
    """What some members predicted for the settled bars of one series."""
    return MemberPredictions(
        member_names=names,
        probabilities=np.stack(
            [
                rows[_columns(member_names.index(name))].to_numpy(
                    dtype=np.float64
                )
                for name in names
            ],
            axis=1,
        ),
        y=codes_of(rows["outcome"], {c: i for i, c in enumerate(CLASSES)}),
        climatology=climatology,
        closed_at=to_times(rows["closed_at"]),
        label_end_at=to_times(rows["settled_at"]),
        prior_weights=prior_weights,
    )


def climatology_of(rows: pd.DataFrame) -> FloatArray:
    """Class shares as each forecast knew them, shape (n_samples, 3).

    Shares of a later window hold its outcome.
    """
    columns = [f"climatology_{name.lower()}" for name in CLASSES]
    shares: FloatArray = rows[columns].to_numpy(dtype=np.float64)
    return shares


def _columns(number: int) -> list[str]:
    return [f"{number}_{i}" for i in range(len(CLASSES))]
