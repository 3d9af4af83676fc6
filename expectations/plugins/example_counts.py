"""How many training examples the parts of a cut hold.

Judged from a temporary table of counts by series, horizon and part, which the
gate makes with `COUNT`: `{counts}` in a query.
"""

from typing import ClassVar

from expectations.plugins.keyed_rows import KeyedRowsExpectation

# Rows by series, horizon and part of what `{examples}` names.
COUNT = """
    select
        cut_id,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        split_part,
        cast(count(*) as integer) as n_rows,
        sum(1.0 / horizon_bars) as n_effective_rows,
        cast(sum(case label when 'BEARISH' then 1 else 0 end) as integer)
            as n_bearish,
        cast(sum(case label when 'NEUTRAL' then 1 else 0 end) as integer)
            as n_neutral,
        cast(sum(case label when 'BULLISH' then 1 else 0 end) as integer)
            as n_bullish,
        min(closed_at) as first_closed_at,
        max(label_end_at) as last_label_end_at
    from {examples}
    group by cut_id, symbol_id, ticker, timeframe, horizon, split_part
"""


class ExpectCutsToHaveBothParts(KeyedRowsExpectation):
    """Every cut that is judged has fit rows and validation rows.

    A cut without either is named with each of its series.
    """

    query: ClassVar[str] = """
        with found as (
            select
                cuts.cut_id,
                cuts.calendar,
                cuts.timeframe,
                count(case when counts.split_part = 'fit' then 1 end)
                    as n_series_to_fit,
                count(case when counts.split_part = 'validation' then 1 end)
                    as n_series_to_validate
            from {cuts} as cuts
            left join {counts} as counts
                on cuts.cut_id = counts.cut_id
            group by cuts.cut_id, cuts.calendar, cuts.timeframe
        )
        select
            found.cut_id,
            series.symbol_id,
            found.calendar,
            found.timeframe,
            found.n_series_to_fit,
            found.n_series_to_validate
        from found
        left join (
            select distinct symbol_id, calendar, timeframe
            from features.bars
        ) as series
            on
                found.calendar = series.calendar
                and found.timeframe = series.timeframe
        where found.n_series_to_fit = 0 or found.n_series_to_validate = 0
    """


class ExpectSeriesToBeInBothParts(KeyedRowsExpectation):
    """Every expected series has fit and validation rows at each horizon.

    Expected is a series that has nearly all bars of the cut's window. A
    shorter one is training's to judge, which leaves it out on record.

    Parameters
    ----------
    min_share_of_bars : float, default=0.9
        Share of the window's grid bars that an expected series has.
    """

    success_keys: ClassVar[tuple[str, ...]] = (
        *KeyedRowsExpectation.success_keys,
        "min_share_of_bars",
    )
    query: ClassVar[str] = """
        with windows as (
            select
                cuts.cut_id, cuts.calendar, cuts.timeframe,
                cuts.window_starts_at, cuts.as_of, count(*) as n_grid_bars
            from {cuts} as cuts
            inner join features.bar_grid as grid
                on
                    cuts.calendar = grid.calendar
                    and cuts.timeframe = grid.timeframe
                    and cuts.window_starts_at <= grid.closed_at
                    and cuts.as_of >= grid.closed_at
            group by
                cuts.cut_id, cuts.calendar, cuts.timeframe,
                cuts.window_starts_at, cuts.as_of
        ),
        expected as (
            select
                windows.cut_id, bars.symbol_id, bars.ticker, windows.calendar,
                windows.timeframe, count(*) as n_bars
            from windows
            inner join features.bars as bars
                on
                    windows.calendar = bars.calendar
                    and windows.timeframe = bars.timeframe
                    and windows.window_starts_at <= bars.closed_at
                    and windows.as_of >= bars.closed_at
            group by
                windows.cut_id, bars.symbol_id, bars.ticker, windows.calendar,
                windows.timeframe, windows.n_grid_bars
            having count(*) >= {min_share_of_bars} * windows.n_grid_bars
        ),
        found as (
            select
                cut_id, symbol_id, timeframe, horizon,
                sum(case when split_part = 'fit' then n_rows end) as n_fit,
                sum(case when split_part = 'validation' then n_rows end)
                    as n_validation
            from {counts} as counts
            group by cut_id, symbol_id, timeframe, horizon
        )
        select
            expected.cut_id,
            expected.symbol_id,
            expected.ticker,
            expected.timeframe,
            horizons.horizon,
            expected.n_bars,
            coalesce(found.n_fit, 0) as n_fit,
            coalesce(found.n_validation, 0) as n_validation
        from expected
        inner join features.horizons as horizons
            on
                expected.calendar = horizons.calendar
                and expected.timeframe = horizons.timeframe
        left join found
            on
                expected.cut_id = found.cut_id
                and expected.symbol_id = found.symbol_id
                and expected.timeframe = found.timeframe
                and horizons.horizon = found.horizon
        where
            coalesce(found.n_fit, 0) = 0
            or coalesce(found.n_validation, 0) = 0
    """

    min_share_of_bars: float = 0.9


class ExpectPartsToHoldEveryRow(KeyedRowsExpectation):
    """Each part has as many rows as the grid says, counted from the tables.

    Labels that end by the last bar closed at as_of, whose feature row is not
    unusable, are counted by bar numbers: fit if the label ends the embargo
    before the split bar, validation if the row is not before it, else purged.
    A row the view lost, doubled or put in another part makes a difference.
    """

    query: ClassVar[str] = """
        with bounds as (
            select
                cuts.cut_id, cuts.calendar, cuts.timeframe, cuts.embargo_bars,
                max(
                    case
                        when grid.closed_at < cuts.window_starts_at
                            then grid.bar_number + 1
                        else 1
                    end
                ) as first_bar,
                max(
                    case
                        when grid.closed_at = cuts.validation_starts_at
                            then grid.bar_number
                    end
                ) as split_bar,
                max(grid.bar_number) as last_bar
            from {cuts} as cuts
            inner join features.bar_grid as grid
                on
                    cuts.calendar = grid.calendar
                    and cuts.timeframe = grid.timeframe
                    and cuts.as_of >= grid.closed_at
            group by
                cuts.cut_id, cuts.calendar, cuts.timeframe, cuts.embargo_bars
        ),
        placed as (
            select
                bounds.cut_id,
                labels.symbol_id,
                labels.ticker,
                labels.timeframe,
                labels.horizon,
                case
                    when
                        labels.bar_number
                        + labels.horizon_bars
                        + bounds.embargo_bars <= bounds.split_bar
                        then 'fit'
                    when labels.bar_number >= bounds.split_bar
                        then 'validation'
                    else 'purged'
                end as split_part,
                unusable.symbol_id is null as is_usable
            from bounds
            inner join features.labels as labels
                on
                    bounds.calendar = labels.calendar
                    and bounds.timeframe = labels.timeframe
                    and bounds.first_bar <= labels.bar_number
                    and bounds.last_bar
                    >= labels.bar_number + labels.horizon_bars
            left join features.feature_rows as unusable
                on
                    labels.symbol_id = unusable.symbol_id
                    and labels.timeframe = unusable.timeframe
                    and labels.bar_number = unusable.bar_number
                    and not unusable.is_usable
            where labels.label is not null
        ),
        expected as (
            select
                cut_id, symbol_id, ticker, timeframe, horizon, split_part,
                sum(case when is_usable then 1 else 0 end) as n_rows
            from placed
            group by cut_id, symbol_id, ticker, timeframe, horizon, split_part
        )
        select
            coalesce(expected.cut_id, found.cut_id) as cut_id,
            coalesce(expected.symbol_id, found.symbol_id) as symbol_id,
            coalesce(expected.ticker, found.ticker) as ticker,
            coalesce(expected.timeframe, found.timeframe) as timeframe,
            coalesce(expected.horizon, found.horizon) as horizon,
            coalesce(expected.split_part, found.split_part) as split_part,
            coalesce(expected.n_rows, 0) as n_expected,
            coalesce(found.n_rows, 0) as n_found
        from expected
        full outer join {counts} as found
            on
                expected.cut_id = found.cut_id
                and expected.symbol_id = found.symbol_id
                and expected.timeframe = found.timeframe
                and expected.horizon = found.horizon
                and expected.split_part = found.split_part
        where coalesce(expected.n_rows, 0) <> coalesce(found.n_rows, 0)
    """


class ExpectPartsToHaveEnoughRows(KeyedRowsExpectation):
    """Fit and validation hold a least number of rows per series and horizon.

    Parameters
    ----------
    min_fit_rows, min_validation_rows : int
    """

    success_keys: ClassVar[tuple[str, ...]] = (
        *KeyedRowsExpectation.success_keys,
        "min_fit_rows",
        "min_validation_rows",
    )
    query: ClassVar[str] = """
        select
            cut_id,
            symbol_id,
            ticker,
            timeframe,
            horizon,
            sum(case split_part when 'fit' then n_rows else 0 end) as n_fit,
            sum(case split_part when 'validation' then n_rows else 0 end)
                as n_validation
        from {counts} as counts
        group by cut_id, symbol_id, ticker, timeframe, horizon
        having
            sum(case split_part when 'fit' then n_rows else 0 end)
            < {min_fit_rows}
            or sum(case split_part when 'validation' then n_rows else 0 end)
            < {min_validation_rows}
    """

    min_fit_rows: int
    min_validation_rows: int


class ExpectEachClassToHaveEnoughRows(KeyedRowsExpectation):
    """Each class has a least number of rows per series, horizon and part.

    Parameters
    ----------
    min_fit_rows, min_validation_rows : int
        Of each class, in a series and horizon that has rows at all.
    """

    success_keys: ClassVar[tuple[str, ...]] = (
        *KeyedRowsExpectation.success_keys,
        "min_fit_rows",
        "min_validation_rows",
    )
    query: ClassVar[str] = """
        select
            cut_id, symbol_id, ticker, timeframe, horizon, split_part,
            n_bearish, n_neutral, n_bullish
        from {counts} as counts
        where
            split_part in ('fit', 'validation')
            and least(n_bearish, n_neutral, n_bullish)
            < case split_part
                when 'fit' then {min_fit_rows}
                else {min_validation_rows}
            end
    """

    min_fit_rows: int
    min_validation_rows: int


class ExpectEachClassToHaveItsShare(KeyedRowsExpectation):
    """Each class has a least share of all series' fit rows of a horizon.

    One series may rise throughout its window; that all of them lack a class is
    a fault of the labels. Labels overlap, so rows count as rows / horizon
    bars, and too few of those prove nothing.

    Parameters
    ----------
    min_share : float
    min_effective_rows : float
        Horizons with fewer rows / horizon bars are not judged.
    min_series : int, default=1
        Cuts with fewer series are not judged.
    """

    success_keys: ClassVar[tuple[str, ...]] = (
        *KeyedRowsExpectation.success_keys,
        "min_share",
        "min_effective_rows",
        "min_series",
    )
    query: ClassVar[str] = """
        with counted as (
            select
                cut_id,
                timeframe,
                horizon,
                count(*) as n_series,
                sum(n_rows) as n_rows,
                sum(n_effective_rows) as n_effective_rows,
                sum(n_bearish) as n_bearish,
                sum(n_neutral) as n_neutral,
                sum(n_bullish) as n_bullish
            from {counts} as counts
            where split_part = 'fit'
            group by cut_id, timeframe, horizon
        )
        select cut_id, timeframe, horizon, n_bearish, n_neutral, n_bullish
        from counted
        where
            n_series >= {min_series}
            and n_effective_rows >= {min_effective_rows}
            and least(n_bearish, n_neutral, n_bullish) < {min_share} * n_rows
    """

    min_share: float
    min_effective_rows: float
    min_series: int = 1
