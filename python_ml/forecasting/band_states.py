"""States that bands rest on, as they are kept.

By run: live ones are gone on from day by day, a replay or a backtest has its
own. What is kept is never made again, so a forecast's bands can be told from
the tables to the bit, whatever has been restated since.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.scoring.band_walk import BandState, Distribution
from python_ml.scoring.bands import PROBABILITIES, end_names, named_ends
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.connection import Warehouse

TABLES = (schema.band_states, schema.band_quantiles, schema.band_factors)

OF_RUN = " and ".join(f"{name} = :{name}" for name in schema.BAND_KEY)

# The states from the first bar that is asked for on, or from the one before,
# and some before that.
STATES_QUERY = f"""
    select *
    from {{ml}}.band_states
    where
        {OF_RUN}
        and bar_number between coalesce(
            (
                select max(bar_number)
                from {{ml}}.band_states
                where {OF_RUN} and bar_number <= :first_bar_number
            ), :first_bar_number
        ) - :n_before and :last_bar_number
    order by bar_number
"""

DISTRIBUTIONS_QUERY = f"""
    select *
    from {{ml}}.TABLE
    where
        {OF_RUN}
        and from_bar_number between :first_bar_number and :last_bar_number
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


def read_states(
    warehouse: Warehouse,
    key: Mapping[str, str],
    first: int,
    last: int,
    n_before: int,
) -> dict[int, BandState]:
    """States of a run by bar.

    Parameters
    ----------
    warehouse : Warehouse
    key : mapping of str to str
        Values of `schema.BAND_KEY`.
    first, last : int
        Bars that are asked for; where `first` is not kept, the last one before
        it is read, too.
    n_before : int
        Bars that are read before that.
    """
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


def read_distributions(
    warehouse: Warehouse, key: Mapping[str, str], first: int, last: int
) -> dict[int, Distribution]:
    """Distributions of a run by first bar, from a bar to another."""
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


def new_states(
    key: Mapping[str, str],
    states: list[BandState],
    used: Mapping[int, Distribution],
    kept: Mapping[int, Distribution],
    closed_at: "pd.Series[Any]",
    batch_id: int,
) -> NewStates:
    """Rows of what is not kept yet.

    Parameters
    ----------
    key : mapping of str to str
        Values of `schema.BAND_KEY`.
    states : list of BandState
        None of which is kept.
    used, kept : mapping of int to Distribution
        Those that serve at them, and those of all that are kept.
    closed_at : Series
        Close of each of their bars, by number.
    batch_id : int
        The newest that they rest on.
    """
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
