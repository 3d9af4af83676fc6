"""Class shares that a forecast without skill would state."""

from collections.abc import Mapping
from dataclasses import dataclass

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
COUNTS = [f"n_{name.lower()}" for name in CLASSES]


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


def read_climatologies(warehouse: Warehouse, cut_id: int) -> Climatologies:
    """Class shares under a cut over the long window of pooled members.

    A few hundred overlapping rows do not know how often a series rises, and
    the market's own rise in their time is a chance of that time. Of all
    series each time counts once, however many have a row then.
    """
    counts = read_frame(
        warehouse,
        """
        select
            horizon,
            horizon_bars,
            split_part,
            bar_number,
            symbol_id,
            n_bearish,
            n_neutral,
            n_bullish
        from {features}.class_counts
        where cut_id = :cut_id
        order by horizon, bar_number, symbol_id
        """,
        {"cut_id": cut_id},
    )
    of_all: dict[tuple[str, str], FloatArray] = {}
    of_series: dict[tuple[int, str, str], FloatArray] = {}
    for horizon, rows in counts.groupby("horizon"):
        horizon_bars = int(rows["horizon_bars"].iloc[0])
        for which, used in (
            (FIT_SHARES, rows[rows["split_part"] == "fit"]),
            (WINDOW_SHARES, rows),
        ):
            every = _mean_shares(used.loc[used["bar_number"].notna(), COUNTS])
            of_all[str(horizon), which] = every
            of_symbols = used.groupby("symbol_id")[COUNTS].sum()
            for symbol_id, n_rows in zip(
                of_symbols.index, of_symbols.to_numpy(), strict=True
            ):
                of_series[int(symbol_id), str(horizon), which] = (
                    shrunken_shares(
                        np.arange(len(CLASSES)),
                        n_effective=effective_sample_size(
                            n_rows.sum(), horizon_bars
                        ),
                        prior_shares=every,
                        sample_weight=n_rows,
                    )
                )
    return Climatologies(of_all, of_series)


def _mean_shares(counts: pd.DataFrame) -> FloatArray:
    """Class shares of each time, averaged over times; thirds of none."""
    if counts.empty:
        return np.full(len(CLASSES), 1 / len(CLASSES))
    # Time after time: the order of a sum decides its last bits.
    n_rows = counts.to_numpy(dtype=np.float64).copy(order="C")
    shares: FloatArray = n_rows / n_rows.sum(axis=1, keepdims=True)
    mean: FloatArray = shares.mean(axis=0)
    return mean
