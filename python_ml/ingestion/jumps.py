"""Jumps of prices that a load leaves, and which of them look like a split.

What looks like a split is said by the view `raw.suspected_splits` (migration
0007), of the bars and adjustments as they are now: what is mended leaves it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd
import sqlalchemy as sa

# As the view has them; a week shows a split within it in no two prices.
TIMEFRAMES = ("m15", "h1", "h4", "d1")

# Bars written, and the one after them, against the close before. The spans are
# walked one by one, each backwards along the key, which needs no sort.
RECORD_JUMPS = """
insert into {raw}.price_jumps (symbol_id, timeframe, opened_at, found_at)
select
    spans.symbol_id,
    spans.timeframe,
    compared.opened_at,
    :found_at
from unnest(
    cast(:symbol_ids as integer[]),
    cast(:timeframes as text[]),
    cast(:first_ats as timestamptz[]),
    cast(:last_ats as timestamptz[])
) as spans (symbol_id, timeframe, first_at, last_at)
cross join lateral (
    select
        newest.opened_at,
        newest.open,
        lead(newest.close) over (
            order by newest.opened_at desc
        ) as close_before
    from (
        select distinct on (bars.opened_at)
            bars.opened_at, bars.open, bars.close
        from {raw}.bars as bars
        where
            bars.symbol_id = spans.symbol_id
            and bars.timeframe = spans.timeframe
            and bars.opened_at >= coalesce(
                (
                    select max(earlier.opened_at)
                    from {raw}.bars as earlier
                    where
                        earlier.symbol_id = spans.symbol_id
                        and earlier.timeframe = spans.timeframe
                        and earlier.opened_at < spans.first_at
                ),
                spans.first_at
            )
            and bars.opened_at <= coalesce(
                (
                    select min(later.opened_at)
                    from {raw}.bars as later
                    where
                        later.symbol_id = spans.symbol_id
                        and later.timeframe = spans.timeframe
                        and later.opened_at > spans.last_at
                ),
                spans.last_at
            )
        order by bars.opened_at desc, bars.batch_id desc
    ) as newest
) as compared
where abs(ln(compared.open / compared.close_before)) >= ln(1.3)
on conflict do nothing
"""

SUSPECTED_SPLITS = """
select
    symbols.ticker,
    suspected.timeframe,
    suspected.session_date,
    suspected.kind,
    suspected.jump,
    suspected.factor,
    suspected.suggested_factor
from {raw}.suspected_splits as suspected
inner join {raw}.symbols as symbols
    on suspected.symbol_id = symbols.symbol_id
where
    suspected.symbol_id = any(cast(:symbol_ids as integer[]))
    and suspected.opened_at >= :first_at
order by symbols.ticker, suspected.opened_at, suspected.timeframe
"""

SAYINGS = {
    "unexplained_jump": (
        "the price opened at {jump:.4g} times the close before, and no split "
        "is on record"
    ),
    "factor_on_wrong_side": (
        "the price opened at {jump:.4g} times the close before, but the split "
        "on record has the factor {factor:.6g}, the wrong way round"
    ),
    "factor_without_jump": (
        "the split on record has the factor {factor:.6g}, but the price did "
        "not jump: it is adjusted for it already"
    ),
}


@dataclass(frozen=True)
class SuspectedSplit:
    """A price jump that looks like a split, or a split that the price denies.

    Parameters
    ----------
    ticker, timeframe : str
    session_date : date
    kind : str
        Key of `SAYINGS`.
    jump : float
        Open over the close before, as traded.
    factor : float or None
        Of the splits on record there.
    suggested_factor : float
        What would explain the jump.
    """

    ticker: str
    timeframe: str
    session_date: date
    kind: str
    jump: float
    factor: float | None
    suggested_factor: float

    def to_text(self) -> str:
        """One line: what was found, and the line for the adjustments file."""
        what = SAYINGS[self.kind].format(jump=self.jump, factor=self.factor)
        return (
            f"{self.ticker} {self.timeframe} {self.session_date}: {what}. If "
            f"so, load with --adjustments: {self.ticker},{self.session_date},"
            f"split,{self.suggested_factor:.10g}"
        )


def record_jumps(
    connection: sa.Connection,
    raw: str,
    spans: pd.DataFrame,
    *,
    found_at: datetime,
) -> None:
    """Write the jumps among the bars of some spans and their neighbours.

    Parameters
    ----------
    connection : sqlalchemy.Connection
    raw : str
        Name of the schema `raw`.
    spans : DataFrame
        symbol_id, timeframe and the first and last opened_at (first_at,
        last_at) that were written of each series.
    found_at : datetime
    """
    spans = spans.loc[spans["timeframe"].isin(TIMEFRAMES)]
    if spans.empty:
        return
    connection.execute(
        sa.text(RECORD_JUMPS.format(raw=raw)),
        {
            "symbol_ids": spans["symbol_id"].tolist(),
            "timeframes": spans["timeframe"].astype("str").tolist(),
            "first_ats": [str(time) for time in spans["first_at"]],
            "last_ats": [str(time) for time in spans["last_at"]],
            "found_at": found_at,
        },
    )


def suspected_splits(
    connection: sa.Connection,
    raw: str,
    symbol_ids: Sequence[int],
    *,
    first_at: pd.Timestamp,
) -> tuple[SuspectedSplit, ...]:
    """What looks wrong about the splits of some symbols from a time on."""
    if not symbol_ids:
        return ()
    rows = connection.execute(
        sa.text(SUSPECTED_SPLITS.format(raw=raw)),
        {"symbol_ids": list(symbol_ids), "first_at": first_at},
    )
    return tuple(SuspectedSplit(**row._mapping) for row in rows)
