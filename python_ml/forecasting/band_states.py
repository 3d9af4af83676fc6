"""Band ends of the forecasts that are due, and the states that they rest on.

States are kept by run: a live one is gone on from day by day, a replay's or a
backtest's is its own. What is kept is never made again, so a forecast's bands
can be told from the tables to the bit, whatever has been restated since.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.ensemble import FloatArray
from python_ml.forecasting.band_moves import (
    SeriesWindows,
    read_moves,
    read_windows,
)
from python_ml.scoring.band_walk import (
    BandState,
    Distribution,
    coverage_is_broken,
    walk,
)
from python_ml.scoring.bands import (
    PROBABILITIES,
    band_ends,
    end_names,
    named_ends,
    place_groups,
)
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.connection import Warehouse

COVERAGE_SESSIONS = 60
TABLES = (schema.band_states, schema.band_quantiles, schema.band_factors)

# The states from the first bar that is asked for on, or from the one before,
# and some before that.
STATES_QUERY = """
    select states.*
    from {ml}.band_states as states
    where
        states.run_kind = :run_kind
        and states.run_name = :run_name
        and states.calendar = :calendar
        and states.timeframe = :timeframe
        and states.horizon = :horizon
        and states.bar_number between coalesce(
            (
                select max(before.bar_number)
                from {ml}.band_states as before
                where
                    before.run_kind = :run_kind
                    and before.run_name = :run_name
                    and before.calendar = :calendar
                    and before.timeframe = :timeframe
                    and before.horizon = :horizon
                    and before.bar_number <= :first_bar_number
            ), :first_bar_number
        ) - :n_before and :last_bar_number
    order by states.bar_number
"""

DISTRIBUTIONS_QUERY = """
    select made.*
    from {ml}.TABLE as made
    where
        made.run_kind = :run_kind
        and made.run_name = :run_name
        and made.calendar = :calendar
        and made.timeframe = :timeframe
        and made.horizon = :horizon
        and made.from_bar_number
        between :first_bar_number and :last_bar_number
"""


@dataclass(frozen=True, slots=True)
class NewStates:
    """Rows of `band_states`, `band_quantiles` and `band_factors` to write."""

    states: pd.DataFrame
    quantiles: pd.DataFrame
    factors: pd.DataFrame

    def write(
        self,
        connection: sa.Connection,
        *,
        created_at: pd.Timestamp,
        job_run_id: int,
    ) -> None:
        """Append the rows, in the caller's transaction."""
        origin: dict[str, Any] = {
            "created_at": created_at,
            "job_run_id": job_run_id,
        }
        for table, rows in zip(
            TABLES,
            (
                self.states.assign(**origin),
                self.quantiles.assign(**origin),
                self.factors,
            ),
            strict=True,
        ):
            insert_frame(connection, table, rows, skip_existing=True)


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
    known = _read_states(warehouse, key, first, last, coverage_bars)
    # What is kept of before tells how the bands have done.
    before = [bar_number for bar_number in known if bar_number <= first]
    start = max(before, default=first - windows.bars.warm_up_bars)
    needed = {
        known[bar_number].from_bar_number
        if bar_number in known
        else windows.bars.refreshed_at(bar_number)
        for bar_number in range(start, last + 1)
    }
    distributions = _read_distributions(warehouse, key, min(needed), last)
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
    is_broken = _coverage_by_bar(
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
            is_coverage_broken=is_broken.to_numpy(),
        ),
        _new_states(
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


def _coverage_by_bar(
    states: Mapping[int, BandState],
    n_bars: int,
    horizon_bars: int,
    bar_numbers: "pd.Series[int]",
) -> "pd.Series[bool]":
    """Whether coverage over the last bars is broken, for each example."""
    found = {
        bar_number: coverage_is_broken(
            [
                states[number]
                for number in range(bar_number - n_bars + 1, bar_number + 1)
                if number in states
            ],
            horizon_bars=horizon_bars,
        )
        for bar_number in bar_numbers.unique().tolist()
    }
    return bar_numbers.map(found)


def _read_states(
    warehouse: Warehouse,
    key: Mapping[str, str],
    first: int,
    last: int,
    n_before: int,
) -> dict[int, BandState]:
    rows = read_frame(
        warehouse,
        STATES_QUERY,
        {
            **key,
            "first_bar_number": first,
            "last_bar_number": last,
            "n_before": n_before,
        },
    )
    offsets = rows[end_names("offset")].to_numpy(np.float64)
    shares = rows["share_inside_80"].to_numpy(np.float64)
    numbers = rows[["bar_number", "from_bar_number", "n_outcomes"]]
    return {
        bar_number: BandState(
            bar_number,
            from_bar_number,
            offsets[row],
            n_outcomes,
            float(shares[row]),
        )
        for row, (bar_number, from_bar_number, n_outcomes) in enumerate(
            numbers.to_numpy(np.int64).tolist()
        )
    }


def _read_distributions(
    warehouse: Warehouse, key: Mapping[str, str], first: int, last: int
) -> dict[int, Distribution]:
    quantiles, factors = (
        read_frame(
            warehouse,
            DISTRIBUTIONS_QUERY.replace("TABLE", table),
            {**key, "first_bar_number": first, "last_bar_number": last},
        )
        for table in ("band_quantiles", "band_factors")
    )
    factors_of: dict[int, dict[int, float]] = {}
    for from_bar_number, symbol_id, factor in zip(
        factors["from_bar_number"].to_numpy(np.int64).tolist(),
        factors["symbol_id"].to_numpy(np.int64).tolist(),
        factors["factor"].tolist(),
        strict=True,
    ):
        factors_of.setdefault(from_bar_number, {})[symbol_id] = factor
    found: dict[int, Distribution] = {}
    for _, rows in quantiles.groupby("from_bar_number"):
        first = int(rows["from_bar_number"].iloc[0])
        of_groups = rows.sort_values("place_group")[end_names("quantile")]
        found[first] = Distribution(
            first,
            of_groups.to_numpy(np.float64),
            factors_of.get(first, {}),
            int(rows["n_moves"].iloc[0]),
        )
    return found


def _new_states(
    key: Mapping[str, str],
    states: list[BandState],
    used: Mapping[int, Distribution],
    kept: Mapping[int, Distribution],
    closed_at: "pd.Series[Any]",
    batch_id: int,
) -> NewStates:
    """Rows of what is not kept yet."""
    made = [
        used[from_bar_number]
        for from_bar_number in sorted({s.from_bar_number for s in states})
        if from_bar_number not in kept
    ]
    bar_numbers = [state.bar_number for state in states]
    offsets = np.array([state.offsets for state in states]).reshape(
        -1, len(PROBABILITIES)
    )
    groups = [
        (one.from_bar_number, group, one.n_moves)
        for one in made
        for group in range(len(one.quantiles))
    ]
    quantiles = np.concatenate(
        [one.quantiles for one in made] or [np.empty((0, len(PROBABILITIES)))]
    )
    factors = [
        (one.from_bar_number, symbol_id, factor)
        for one in made
        for symbol_id, factor in one.factors.items()
    ]
    return NewStates(
        states=pd.DataFrame(
            {
                "bar_number": bar_numbers,
                "closed_at": closed_at.loc[bar_numbers].to_numpy(),
                "from_bar_number": [s.from_bar_number for s in states],
                **named_ends(offsets, "offset"),
                "n_outcomes": [s.n_outcomes for s in states],
                "share_inside_80": [s.share_inside_80 for s in states],
            }
        ).assign(**key, batch_id=batch_id),
        quantiles=pd.DataFrame(
            groups, columns=["from_bar_number", "place_group", "n_moves"]
        ).assign(**named_ends(quantiles, "quantile"), **key, batch_id=batch_id),
        factors=pd.DataFrame(
            factors, columns=["from_bar_number", "symbol_id", "factor"]
        ).assign(**key),
    )
