"""Splits and dividends as vendors announce them, made factors of prices."""

from typing import Literal

import pandas as pd

from python_ml.ingestion.base import ADJUSTMENT_COLUMNS

EVENT_COLUMNS = ["ticker", "session_date", "price_ratio", "cash"]
CLOSE_COLUMNS = ["ticker", "session_date", "close"]
# An older close was not the last before an ex-date: trading was halted.
CLOSE_IS_STALE_AFTER = pd.Timedelta(days=14)


def adjustments_from_events(
    events: pd.DataFrame, closes: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Factors that prices before each event are multiplied by.

    A split's is the new price of a share in old ones, 0.25 for four for one.
    A dividend's is 1 - amount / close, of the last close before the ex-date:
    known when the ex-date opens, as the close of the ex-date is not. Several
    dividends of one day add up, several splits multiply; an amount on the day
    of a split is one of a new share.

    Parameters
    ----------
    events : DataFrame
        `EVENT_COLUMNS`: the ex-date (datetime64) and either `price_ratio` (of
        a split) or `cash` (of a dividend, per share), the other missing.
    closes : DataFrame
        `CLOSE_COLUMNS`: closes as traded.

    Returns
    -------
    adjustments : DataFrame
        `ADJUSTMENT_COLUMNS`, by ticker and date.
    without_close : DataFrame
        Ticker and date of dividends with no close in the two weeks before.

    Examples
    --------
    >>> events = pd.DataFrame(
    ...     {
    ...         "ticker": "TPG",
    ...         "session_date": pd.to_datetime(["2026-02-19"]),
    ...         "price_ratio": None,
    ...         "cash": 0.61,
    ...     }
    ... )
    >>> closes = pd.DataFrame(
    ...     {
    ...         "ticker": "TPG",
    ...         "session_date": pd.to_datetime(["2026-02-18", "2026-02-19"]),
    ...         "close": [47.94, 44.58],
    ...     }
    ... )
    >>> adjustments, _ = adjustments_from_events(events, closes)
    >>> float((47.94 * adjustments["factor"][0]).round(2))
    47.33
    """
    key = ["ticker", "session_date"]
    ratios = _of_each_day(events, "price_ratio", "prod")
    dividends = (
        _of_each_day(events, "cash", "sum")
        .merge(ratios, on=key, how="left")
        .fillna({"price_ratio": 1.0})
    )
    dividends = pd.merge_asof(
        dividends.sort_values("session_date"),
        closes.sort_values("session_date")[CLOSE_COLUMNS],
        on="session_date",
        by="ticker",
        allow_exact_matches=False,
        tolerance=CLOSE_IS_STALE_AFTER,
    )
    has_close = dividends["close"].notna()
    known = dividends.loc[has_close]
    adjustments = pd.concat(
        [
            ratios.rename(columns={"price_ratio": "factor"}).assign(
                kind="split"
            ),
            known.assign(
                kind="dividend",
                factor=1
                - known["cash"] / (known["close"] * known["price_ratio"]),
            ),
        ],
        ignore_index=True,
    )
    return (
        adjustments.sort_values([*key, "kind"], ignore_index=True)[
            ADJUSTMENT_COLUMNS
        ],
        dividends.loc[~has_close, key],
    )


def _of_each_day(
    events: pd.DataFrame, value: str, how: Literal["prod", "sum"]
) -> pd.DataFrame:
    """Ticker, date and what the events of a day that have a value make."""
    having = events.loc[events[value].notna()].astype({value: float})
    by_day = having.groupby(["ticker", "session_date"])[value]
    return by_day.agg(how).reset_index()
