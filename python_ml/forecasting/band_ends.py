"""Band ends of the forecasts that are due."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from python_ml.ensemble import FloatArray
from python_ml.forecasting.band_moves import (
    SeriesWindows,
    read_moves,
    read_windows,
)
from python_ml.forecasting.band_states import (
    NewStates,
    new_states,
    read_distributions,
    read_states,
)
from python_ml.scoring.band_walk import (
    BandState,
    Distribution,
    coverage_is_broken,
    walk,
)
from python_ml.scoring.bands import band_ends, named_ends, place_groups
from python_ml.warehouse.connection import Warehouse

COVERAGE_SESSIONS = 60


def with_band_ends(
    warehouse: Warehouse,
    examples: pd.DataFrame,
    *,
    run_kind: str,
    run_name: str,
) -> tuple[pd.DataFrame, NewStates]:
    """Examples with the ends of their bands, and the states that are new.

    Parameters
    ----------
    warehouse : Warehouse
    examples : DataFrame of shape (n_examples, n_columns)
        Rows of `features.scoring_examples` of one timeframe.
    run_kind, run_name : str
        Whose states are gone on from.

    Returns
    -------
    examples : DataFrame of shape (n_examples, n_columns + 8)
        With a column for each of `end_names("end")`, in units of
        `forecast_volatility`, which holds the series' own factor now, and
        `is_coverage_broken`: whether 80% bands over the last 60 sessions held
        less or more than chance explains.
    new_states : NewStates
        To be written with the forecasts, in one transaction.
    """
    timeframe = str(examples["timeframe"].iloc[0])
    windows = read_windows(warehouse, timeframe)
    parts: list[pd.DataFrame] = []
    new: list[NewStates] = []
    for (calendar, horizon), rows in examples.groupby(
        ["calendar", "horizon"], sort=True
    ):
        key = {
            "run_kind": run_kind,
            "run_name": run_name,
            "calendar": str(calendar),
            "timeframe": timeframe,
            "horizon": str(horizon),
        }
        with_ends, new_of_horizon = _walk_horizon(
            warehouse, key, rows, windows[str(calendar)]
        )
        parts.append(with_ends)
        new.append(new_of_horizon)
    return pd.concat(parts).loc[examples.index], NewStates(
        *(
            pd.concat([getattr(one, name) for one in new], ignore_index=True)
            for name in ("states", "quantiles", "factors")
        )
    )


def _walk_horizon(
    warehouse: Warehouse,
    key: Mapping[str, str],
    examples: pd.DataFrame,
    windows: SeriesWindows,
) -> tuple[pd.DataFrame, NewStates]:
    """What `with_band_ends` does, for one calendar and horizon."""
    horizon_bars = int(examples["horizon_bars"].iloc[0])
    first = int(examples["bar_number"].min())
    last = int(examples["bar_number"].max())
    coverage_bars = COVERAGE_SESSIONS * windows.session_bars
    known = read_states(warehouse, key, first, last, coverage_bars)
    # What is kept of before tells how the bands have done.
    before = [bar_number for bar_number in known if bar_number <= first]
    start = max(before, default=first - windows.bars.warm_up_bars)
    needed = {
        known[bar_number].from_bar_number
        if bar_number in known
        else windows.bars.refreshed_at(bar_number)
        for bar_number in range(start, last + 1)
    }
    distributions = read_distributions(warehouse, key, min(needed), last)
    missing = needed - set(distributions)
    looks_back = max(windows.bars.pool_bars, windows.bars.factor_bars)
    moves, closes, batch_id = read_moves(
        warehouse,
        key,
        range(min([start, *(m - looks_back for m in missing)]), last + 1),
        horizon_bars,
        windows.session_bars,
    )
    if not before:
        # Before any outcome there is nothing to track.
        start = min(max(start, moves.first_bar_number + horizon_bars), first)
    states, used = walk(
        moves,
        range(start, last + 1),
        windows.bars,
        states=known,
        distributions=distributions,
    )
    by_bar = known | {state.bar_number: state for state in states}
    is_broken = _is_coverage_broken(
        by_bar, coverage_bars, horizon_bars, examples["bar_number"]
    )
    ends, factors = _of_examples(
        examples, by_bar, used, closes["place_in_session"], windows
    )
    fresh = [
        state
        for state in states
        if state.bar_number >= first - coverage_bars
        and state.bar_number not in known
    ]
    return (
        examples.assign(
            forecast_volatility=examples["forecast_volatility"] * factors,
            **named_ends(ends, "end"),
            is_coverage_broken=is_broken,
        ),
        new_states(
            key, fresh, used, distributions, closes["closed_at"], batch_id
        ),
    )


def _of_examples(
    examples: pd.DataFrame,
    states: Mapping[int, BandState],
    distributions: Mapping[int, Distribution],
    places: "pd.Series[int]",
    windows: SeriesWindows,
) -> tuple[FloatArray, FloatArray]:
    """Ends of the bands of each example, (n, 7), and its own factor, (n,)."""
    bars, bar_of = np.unique(
        examples["bar_number"].to_numpy(np.int64), return_inverse=True
    )
    used = [states[bar_number] for bar_number in bars.tolist()]
    groups = place_groups(
        np.asarray(places.loc[bars], dtype=np.int64), windows.session_bars
    )
    ends = np.stack(
        [
            band_ends(
                distributions[state.from_bar_number].quantiles[group],
                state.offsets,
            )
            for state, group in zip(used, groups, strict=True)
        ]
    )
    served_from = np.array([state.from_bar_number for state in used])[bar_of]
    factors = np.ones(len(examples))
    for first in np.unique(served_from):
        is_served = served_from == first
        own = examples["symbol_id"][is_served].map(distributions[first].factors)
        factors[is_served] = own.fillna(1.0)
    return ends[bar_of], factors


def _is_coverage_broken(
    states: Mapping[int, BandState],
    n_bars: int,
    horizon_bars: int,
    bar_numbers: "pd.Series[int]",
) -> npt.NDArray[np.bool_]:
    """Whether coverage over the last bars is broken, for each example."""
    bars, bar_of = np.unique(
        bar_numbers.to_numpy(np.int64), return_inverse=True
    )
    first = bars[0] - n_bars + 1
    shares = np.full(bars[-1] - first + 1, np.nan)
    for bar_number, state in states.items():
        if bar_number >= first:
            shares[bar_number - first] = state.share_inside_80
    # The window that begins so many bars before ends at the bar itself.
    windows = sliding_window_view(shares, n_bars)[bars - bars[0]]
    return coverage_is_broken(windows, horizon_bars=horizon_bars)[bar_of]
