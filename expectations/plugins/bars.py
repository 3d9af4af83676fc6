"""Expectations of `features.bars`."""

from typing import ClassVar

from expectations.plugins.keyed_rows import (
    KeyedRowsExpectation,
    RowConditionExpectation,
)


class ExpectPricesToBeOrdered(RowConditionExpectation):
    """Prices are positive, finite and ordered, volumes finite and not below 0.

    Holds for the bar as traded and for the adjusted one. NaN sorts above
    infinity, so the upper bounds catch it.
    """

    condition: ClassVar[str] = """
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
    """


class ExpectBarsToLieOnTheGrid(RowConditionExpectation):
    """A bar has the session and the times of the grid bar of its number."""

    condition: ClassVar[str] = """
        session_date = grid_session_date
        and opened_at = grid_opened_at
        and closed_at = grid_closed_at
    """


class ExpectLoadedBarsToBeThere(KeyedRowsExpectation):
    """Every bar of `raw.bars` was built: none fell off the grid unseen.

    Its series is marked as loaded, not as rolled up from a finer one. Bars that
    cannot be are left out; `monitoring.series_findings` names them.

    Parameters
    ----------
    lowest_price, highest_price, highest_volume : float
        As the vars of dbt_project.yml say.
    """

    success_keys: ClassVar[tuple[str, ...]] = (
        *KeyedRowsExpectation.success_keys,
        "lowest_price",
        "highest_price",
        "highest_volume",
    )
    query: ClassVar[str] = """
        select loaded.symbol_id, loaded.timeframe, loaded.opened_at
        from raw.bars as loaded
        left join {batch} as bars
            on
                loaded.symbol_id = bars.symbol_id
                and loaded.timeframe = bars.timeframe
                and loaded.opened_at = bars.opened_at
                and bars.rolled_up_from is null
        where
            bars.symbol_id is null
            -- A later record may be what keeps the bar out.
            and not exists (
                select 1
                from raw.bars as impossible
                where
                    impossible.symbol_id = loaded.symbol_id
                    and impossible.timeframe = loaded.timeframe
                    and impossible.opened_at = loaded.opened_at
                    and not (
                        impossible.low >= {lowest_price}
                        and impossible.high <= {highest_price}
                        and impossible.volume <= {highest_volume}
                    )
            )
    """

    lowest_price: float = 1e-12
    highest_price: float = 1e12
    highest_volume: float = 1e15


class ExpectSeriesToHaveOneSource(KeyedRowsExpectation):
    """A series is loaded, or rolled up from one finer series that was loaded.

    Loaded and rolled-up bars are never mixed in a series.
    """

    query: ClassVar[str] = """
        with sources as (
            select symbol_id, timeframe, rolled_up_from, count(*) as n_bars
            from {batch} as bars
            group by symbol_id, timeframe, rolled_up_from
        ),
        counted as (
            select
                *,
                count(*) over (partition by symbol_id, timeframe) as n_sources
            from sources
        )
        select
            counted.symbol_id,
            symbols.ticker,
            counted.timeframe,
            counted.rolled_up_from,
            counted.n_bars
        from counted
        left join features.timeframes as timeframes
            on counted.timeframe = timeframes.timeframe
        left join features.timeframes as finer
            on counted.rolled_up_from = finer.timeframe
        left join sources as parts
            on
                counted.symbol_id = parts.symbol_id
                and counted.rolled_up_from = parts.timeframe
                and parts.rolled_up_from is null
        left join raw.symbols as symbols
            on counted.symbol_id = symbols.symbol_id
        where (
            counted.n_sources = 1
            and timeframes.timeframe is not null
            and (
                counted.rolled_up_from is null
                or (
                    finer.sort_order < timeframes.sort_order
                    and parts.symbol_id is not null
                )
            )
        ) is not true
    """


class ExpectCoarserSeriesToBeThere(KeyedRowsExpectation):
    """Every timeframe that is coarser than one of a symbol's is there.

    `finer_timeframe` of `features.timeframes` says which comes after which.

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
            select symbol_id, timeframe, count(*) as n_bars
            from {batch} as bars
            group by symbol_id, timeframe
        )
        select
            finer.symbol_id,
            symbols.ticker,
            timeframes.timeframe,
            finer.n_bars as n_finer_bars
        from series as finer
        inner join features.timeframes as timeframes
            on finer.timeframe = timeframes.finer_timeframe
        left join series as coarser
            on
                finer.symbol_id = coarser.symbol_id
                and timeframes.timeframe = coarser.timeframe
        left join raw.symbols as symbols
            on finer.symbol_id = symbols.symbol_id
        where coarser.symbol_id is null and finer.n_bars >= {min_finer_bars}
    """

    min_finer_bars: int = 60
