"""Class shares that a forecast without skill would state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from python_ml.ensemble import CLASSES, FloatArray
from python_ml.members.base import (
    effective_sample_size,
    shrunken_shares,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

FIT_SHARES, WINDOW_SHARES = "fit", "window"


@dataclass(frozen=True)
class Climatologies:
    """Class shares of all series, and of each shrunk towards them.

    `FIT_SHARES` of labels that `fit` may know, `WINDOW_SHARES` of all labels
    that had ended by the as-of time.
    """

    of_all: Mapping[tuple[str, str], FloatArray]
    of_series: Mapping[tuple[int, str, str], FloatArray]

    def of(self, symbol_id: int, horizon: str, which: str) -> FloatArray:
        """Shares of a series, or of all series where it has no label."""
        return self.of_series.get(
            (symbol_id, horizon, which), self.of_all[horizon, which]
        )


def read_climatologies(
    warehouse: Warehouse, keys: Mapping[str, Any]
) -> Climatologies:
    """Class shares under a cut over the long window of pooled members.

    A few hundred overlapping rows do not know how often a series rises, and
    the market's own rise in their time is a chance of that time. Of all
    series each time counts once, however many have a row then.
    """
    counts = pd.DataFrame()
    # A cut on record from before there were pooled members has no longer
    # window than that of its examples.
    for view in ("pooled_examples", "training_examples"):
        if counts.empty:
            counts = read_frame(
                warehouse,
                f"""
                select
                    horizon,
                    horizon_bars,
                    split_part,
                    label,
                    bar_number,
                    symbol_id,
                    count(*) as n_rows
                from {{features}}.{view}
                where
                    cut_id = :cut_id
                    and timeframe = :timeframe
                group by grouping sets (
                    (horizon, horizon_bars, split_part, label, bar_number),
                    (horizon, horizon_bars, split_part, label, symbol_id)
                )
                order by
                    horizon, split_part, label, bar_number, symbol_id
                """,
                keys,
            )
    of_all: dict[tuple[str, str], FloatArray] = {}
    of_series: dict[tuple[int, str, str], FloatArray] = {}
    for horizon, rows in counts.groupby("horizon"):
        horizon_bars = int(rows["horizon_bars"].iloc[0])
        for which, used in (
            (FIT_SHARES, rows[rows["split_part"] == "fit"]),
            (WINDOW_SHARES, rows),
        ):
            of_times = _count_classes(used, "bar_number")
            every = np.full(len(CLASSES), 1 / len(CLASSES))
            if len(of_times):
                shares = of_times.div(of_times.sum(axis=1), axis=0)
                every = shares.to_numpy(dtype=np.float64).mean(axis=0)
            of_all[str(horizon), which] = every
            of_symbols = _count_classes(used, "symbol_id")
            for symbol_id, n_rows in zip(
                of_symbols.index, of_symbols.to_numpy(), strict=True
            ):
                of_series[symbol_id, str(horizon), which] = shrunken_shares(
                    np.arange(len(CLASSES)),
                    n_effective=effective_sample_size(
                        n_rows.sum(), horizon_bars
                    ),
                    prior_shares=every,
                    sample_weight=n_rows,
                )
    return Climatologies(of_all, of_series)


def _count_classes(counts: pd.DataFrame, by: str) -> pd.DataFrame:
    """Rows of each class, one column each, by one of the keys."""
    of_key = counts[counts[by].notna()].astype({by: np.int64})
    return of_key.pivot_table(
        index=by,
        columns="label",
        values="n_rows",
        aggfunc="sum",
        fill_value=0,
    ).reindex(columns=list(CLASSES), fill_value=0)
