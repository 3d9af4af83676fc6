"""Splits and dividends beside the prices that they are said of."""

import numpy as np
import pandas as pd
import sqlalchemy as sa

from python_ml.ingestion.screening.event_columns import is_in_prices
from python_ml.ingestion.screening.factors import (
    factors_of_amounts,
    is_traded_through,
)
from python_ml.ingestion.screening.reasons import first_reasons

# The last close before each event, of whatever timeframe is the latest, the
# open at it, and what splits are known.
PRICES_AT_EVENTS = """
select
    events.number,
    closes.close as close_before,
    opens.open as open_at,
    splits.factor as known_split_factor,
    exists (
        select 1
        from {raw}.adjustments as adjustments
        where
            adjustments.symbol_id = events.symbol_id
            and adjustments.kind = 'split'
    ) as has_split
from unnest(
    cast(:symbol_ids as integer[]), cast(:effective_ats as timestamptz[])
) with ordinality as events (symbol_id, effective_at, number)
left join lateral (
    select before.close
    from unnest(array['m15', 'h1', 'h4', 'd1']) as timeframes (timeframe)
    cross join lateral (
        select bars.close, bars.closed_at
        from {raw}.bars as bars
        where
            bars.symbol_id = events.symbol_id
            and bars.timeframe = timeframes.timeframe
            and bars.opened_at < events.effective_at
            and bars.opened_at >= events.effective_at - interval '14 days'
        order by bars.opened_at desc, bars.batch_id desc
        limit 1
    ) as before
    order by before.closed_at desc
    limit 1
) as closes on true
left join lateral (
    select bars.open
    from {raw}.bars as bars
    where
        bars.symbol_id = events.symbol_id
        and bars.timeframe in ('m15', 'h1', 'h4', 'd1')
        and bars.opened_at = events.effective_at
    order by bars.batch_id desc
    limit 1
) as opens on true
left join lateral (
    select adjustments.factor
    from {raw}.adjustments as adjustments
    where
        adjustments.symbol_id = events.symbol_id
        and adjustments.effective_at = events.effective_at
        and adjustments.kind = 'split'
    order by adjustments.batch_id desc
    limit 1
) as splits on true
order by events.number
"""


def with_factors(
    connection: sa.Connection, raw: str, events: pd.DataFrame
) -> tuple[pd.DataFrame, "pd.Series[str]", int]:
    """Give amounts their factor, and leave out what is in the prices already.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        Of the load's transaction, after its bars are written.
    raw : str
        Name of the schema `raw`.
    events : DataFrame
        What `screen_adjustments` accepted, with symbol_id.

    Returns
    -------
    events : DataFrame
        Those that are to be stored, each with its factor.
    reasons : Series of str
        Why amounts have none, on the index of `events`.
    n_in_prices : int
        Events beside bars that the prices are adjusted for already.
    """
    if not (events["is_beside_bars"].any() or (events["amount"] > 0).any()):
        return events, pd.Series(dtype=object), 0
    prices = _prices_at(connection, raw, events)
    is_split = (events["kind"] == "split").to_numpy(bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        is_jump = is_split & is_traded_through(
            prices["open_at"].to_numpy(float),
            prices["close_before"].to_numpy(float),
            events["factor"].to_numpy(float),
        )
    is_adjusted = is_in_prices(
        events, is_jump, has_split=prices["has_split"].to_numpy(bool)
    )
    kept = events.loc[~is_adjusted]
    is_amount = kept["amount"] > 0
    amounts = kept.loc[is_amount]
    split_factor = _split_factors(kept, prices["known_split_factor"])
    factor = factors_of_amounts(
        amounts["amount"].to_numpy(float),
        prices["close_before"].to_numpy(float)[~is_adjusted][is_amount],
        np.asarray(split_factor.loc[amounts.index], np.float64),
    )
    reasons = first_reasons(
        [
            ("no_close_before", np.isnan(factor)),
            ("amount_beyond_price", factor <= 0),
        ],
        amounts.index,
    ).dropna()
    kept = kept.assign(
        factor=kept["factor"].mask(is_amount, pd.Series(factor, amounts.index))
    )
    return kept.drop(index=reasons.index), reasons, int(is_adjusted.sum())


def _prices_at(
    connection: sa.Connection, raw: str, events: pd.DataFrame
) -> pd.DataFrame:
    rows = connection.execute(
        sa.text(PRICES_AT_EVENTS.format(raw=raw)),
        {
            "symbol_ids": events["symbol_id"].tolist(),
            "effective_ats": [str(time) for time in events["effective_at"]],
        },
    )
    return pd.DataFrame(
        rows.mappings().all(),
        columns=[
            "close_before",
            "open_at",
            "known_split_factor",
            "has_split",
        ],
        index=events.index,
    )


def _split_factors(
    events: pd.DataFrame, known: "pd.Series[float]"
) -> "pd.Series[float]":
    """Factor of the split that falls together with each event, else 1."""
    key = ["symbol_id", "effective_at"]
    splits = events.loc[events["kind"] == "split"].set_index(key)["factor"]
    own = splits.reindex(pd.MultiIndex.from_frame(events[key])).to_numpy()
    return (
        pd.Series(own, index=events.index, dtype=float)
        .fillna(known.astype(float))
        .fillna(1.0)
    )
