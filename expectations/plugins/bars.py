"""Expectations of `features.bars`."""

from typing import ClassVar

from expectations.plugins.keyed_rows import KeyedRowsExpectation


class ExpectPricesToBeOrdered(KeyedRowsExpectation):
    """Prices are positive, finite and ordered, volumes finite and not below 0.

    Holds for the bar as traded and for the adjusted one. NaN sorts above
    infinity, so the upper bounds catch it.
    """

    query: ClassVar[str] = """
        select symbol_id, ticker, timeframe, bar_number
        from {batch} as bars
        where (
            low > 0 and low <= open and low <= close
            and open <= high and close <= high and high < 'Infinity'
            and volume >= 0 and volume < 'Infinity'
            and adjusted_low > 0
            and adjusted_low <= adjusted_open
            and adjusted_low <= adjusted_close
            and adjusted_open <= adjusted_high
            and adjusted_close <= adjusted_high
            and adjusted_high < 'Infinity'
            and adjusted_volume >= 0 and adjusted_volume < 'Infinity'
        ) is not true
    """


class ExpectBarsToLieOnTheGrid(KeyedRowsExpectation):
    """A bar has the session and the times of the grid bar of its number."""

    query: ClassVar[str] = """
        select bars.symbol_id, bars.ticker, bars.timeframe, bars.bar_number
        from {batch} as bars
        left join features.bar_grid as grid
            on
                bars.calendar = grid.calendar
                and bars.timeframe = grid.timeframe
                and bars.bar_number = grid.bar_number
        where (
            bars.session_date = grid.session_date
            and bars.opened_at = grid.opened_at
            and bars.closed_at = grid.closed_at
        ) is not true
    """


class ExpectLoadedBarsToBeThere(KeyedRowsExpectation):
    """Every bar of `raw.bars` was built: none fell off the grid unseen."""

    query: ClassVar[str] = """
        select loaded.symbol_id, loaded.timeframe, loaded.opened_at
        from raw.bars as loaded
        left join {batch} as bars
            on
                loaded.symbol_id = bars.symbol_id
                and loaded.timeframe = bars.timeframe
                and loaded.opened_at = bars.opened_at
        where bars.symbol_id is null
    """


class ExpectCoarserSeriesToBeThere(KeyedRowsExpectation):
    """Every timeframe that is made of finer bars is there for each symbol.

    Parameters
    ----------
    min_finer_bars : int, default=60
        A series with fewer bars need not fill one coarser bar.
    """

    success_keys: ClassVar[tuple[str, ...]] = (
        *KeyedRowsExpectation.success_keys,
        "min_finer_bars",
    )
    query: ClassVar[str] = """
        with series as (
            select symbol_id, ticker, timeframe, count(*) as n_bars
            from {batch} as bars
            group by symbol_id, ticker, timeframe
        )
        select
            finer.symbol_id,
            finer.ticker,
            timeframes.timeframe,
            finer.n_bars as n_finer_bars
        from series as finer
        inner join features.timeframes as timeframes
            on finer.timeframe = timeframes.finer_timeframe
        left join series as coarser
            on
                finer.symbol_id = coarser.symbol_id
                and timeframes.timeframe = coarser.timeframe
        where coarser.symbol_id is null and finer.n_bars >= {min_finer_bars}
    """

    min_finer_bars: int = 60
