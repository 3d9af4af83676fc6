"""What `raw` knows already of the bars and events that a load brings."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from python_ml.ingestion.base import BAR_VALUES
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

# The newest record of each bar that the load may restate, as the primary key
# has them when read backwards.
KNOWN_BARS = """
select distinct on (bars.symbol_id, bars.timeframe, bars.opened_at)
    bars.symbol_id,
    bars.timeframe,
    bars.opened_at,
    bars.open as known_open,
    bars.high as known_high,
    bars.low as known_low,
    bars.close as known_close,
    bars.volume as known_volume
from {raw}.bars as bars
where
    bars.symbol_id = any(:symbol_ids)
    and bars.opened_at
    between cast(:first_at as timestamptz) and cast(:last_at as timestamptz)
order by
    bars.symbol_id desc,
    bars.timeframe desc,
    bars.opened_at desc,
    bars.batch_id desc
"""

KNOWN_ADJUSTMENTS = """
select distinct on (
    adjustments.symbol_id, adjustments.effective_at, adjustments.kind
)
    adjustments.symbol_id,
    adjustments.effective_at,
    adjustments.kind,
    adjustments.factor as known_factor
from {raw}.adjustments as adjustments
where adjustments.symbol_id = any(:symbol_ids)
order by
    adjustments.symbol_id,
    adjustments.effective_at,
    adjustments.kind,
    adjustments.batch_id desc
"""

# The newest bar of each series, as the primary key has it when read backwards.
NEWEST_BARS = """
select
    symbols.ticker,
    asked.timeframe,
    newest.opened_at,
    newest.source,
    symbols.delisted_at is not null as is_delisted
from {raw}.symbols as symbols
cross join unnest(cast(:timeframes as text [])) as asked (timeframe)
cross join lateral (
    select
        bars.opened_at,
        bars.source
    from {raw}.bars as bars
    where
        bars.symbol_id = symbols.symbol_id
        and bars.timeframe = asked.timeframe
    order by bars.opened_at desc, bars.batch_id desc
    limit 1
) as newest
order by symbols.ticker, asked.timeframe
"""


def newest_bars(
    warehouse: Warehouse, timeframes: Sequence[str]
) -> pd.DataFrame:
    """The newest bar of every series that holds any, in one query.

    Parameters
    ----------
    warehouse : Warehouse
    timeframes : sequence of str

    Returns
    -------
    DataFrame of shape (n_series, 5)
        ticker, timeframe, opened_at (UTC), source (of that bar) and
        is_delisted, by ticker and timeframe.
    """
    return read_frame(warehouse, NEWEST_BARS, {"timeframes": list(timeframes)})


def mark_known_bars(
    warehouse: Warehouse, bars: pd.DataFrame, symbol_ids: Sequence[int]
) -> pd.DataFrame:
    """Mark bars that are new and those whose values have changed.

    Parameters
    ----------
    warehouse : Warehouse
    bars : DataFrame
        Accepted bars with their symbol_id.
    symbol_ids : sequence of int
        Symbols of which `raw` may hold something.

    Returns
    -------
    DataFrame
        With is_new and is_restated; neither is true of a known bar.
    """
    return _marked(
        warehouse,
        bars.astype({"timeframe": "str"}),
        KNOWN_BARS,
        key=["symbol_id", "timeframe", "opened_at"],
        values=BAR_VALUES,
        parameters={
            "symbol_ids": symbol_ids,
            "first_at": bars["opened_at"].min().isoformat(),
            "last_at": bars["opened_at"].max().isoformat(),
        },
    )


def mark_known_adjustments(
    warehouse: Warehouse, adjustments: pd.DataFrame, symbol_ids: Sequence[int]
) -> pd.DataFrame:
    """Mark splits and dividends as `mark_known_bars` marks bars."""
    return _marked(
        warehouse,
        adjustments.astype({"kind": "str"}),
        KNOWN_ADJUSTMENTS,
        key=["symbol_id", "effective_at", "kind"],
        values=["factor"],
        parameters={"symbol_ids": symbol_ids},
    )


def _marked(
    warehouse: Warehouse,
    rows: pd.DataFrame,
    known_query: str,
    *,
    key: list[str],
    values: list[str],
    parameters: Mapping[str, Any],
) -> pd.DataFrame:
    if not parameters["symbol_ids"]:
        return rows.assign(is_new=True, is_restated=False)
    known = read_frame(warehouse, known_query, parameters)
    merged = rows.merge(
        known, on=key, how="left", validate="1:1", indicator="found_in"
    )
    is_new = merged["found_in"] == "left_only"
    is_changed = pd.concat(
        [merged[name] != merged[f"known_{name}"] for name in values],
        axis="columns",
    ).any(axis="columns")
    return merged.assign(is_new=is_new, is_restated=~is_new & is_changed)
