"""Expectations of `features.training_examples`, for each cut it is split by.

The cut's times stand in `ml.training_cuts`. Grid bars are numbered densely, so
distances in bars are differences of `bar_number`: they are computed here from
`bar_number` and `horizon_bars`, apart from the times that the view compares.
"""

from typing import ClassVar

from expectations.plugins.keyed_rows import KeyedRowsExpectation


class ExpectFitLabelsToEndBeforeTheSplit(KeyedRowsExpectation):
    """What is fitted on was settled before validation begins: the purge.

    A fit row's `label_end_at` is strictly before the cut's
    `fit_labels_end_before` and `validation_starts_at`, and before the close of
    the first validation row of its series and horizon.
    """

    query: ClassVar[str] = """
        with first_validation_rows as (
            select
                cut_id, symbol_id, timeframe, horizon,
                min(closed_at) as closed_at
            from {batch} as examples
            where split_part = 'validation'
            group by cut_id, symbol_id, timeframe, horizon
        )
        select
            examples.cut_id,
            examples.symbol_id,
            examples.ticker,
            examples.timeframe,
            examples.horizon,
            examples.bar_number,
            examples.label_end_at
        from {batch} as examples
        left join {cuts} as cuts
            on examples.cut_id = cuts.cut_id
        left join first_validation_rows
            on
                examples.cut_id = first_validation_rows.cut_id
                and examples.symbol_id = first_validation_rows.symbol_id
                and examples.timeframe = first_validation_rows.timeframe
                and examples.horizon = first_validation_rows.horizon
        where
            examples.split_part = 'fit'
            and (
                examples.label_end_at < cuts.fit_labels_end_before
                and examples.label_end_at < cuts.validation_starts_at
                and examples.label_end_at
                < coalesce(
                    first_validation_rows.closed_at, cuts.validation_starts_at
                )
            ) is not true
    """


class ExpectEmbargoToBeKept(KeyedRowsExpectation):
    """The last fit label ends the embargo's grid bars before the split bar."""

    query: ClassVar[str] = """
        select
            examples.cut_id,
            examples.symbol_id,
            examples.ticker,
            examples.timeframe,
            examples.horizon,
            examples.bar_number,
            split_bars.bar_number
            - examples.bar_number
            - examples.horizon_bars as gap_bars,
            cuts.embargo_bars
        from {batch} as examples
        left join {cuts} as cuts
            on examples.cut_id = cuts.cut_id
        left join features.bar_grid as split_bars
            on
                cuts.calendar = split_bars.calendar
                and cuts.timeframe = split_bars.timeframe
                and cuts.validation_starts_at = split_bars.closed_at
        where
            examples.split_part = 'fit'
            and (
                examples.bar_number + examples.horizon_bars + cuts.embargo_bars
                <= split_bars.bar_number
            ) is not true
    """


class ExpectValidationToFollowTheSplit(KeyedRowsExpectation):
    """Validation rows close at or after the split, their labels end by as_of.

    The end of the label is taken from the grid.
    """

    query: ClassVar[str] = """
        select
            examples.cut_id,
            examples.symbol_id,
            examples.ticker,
            examples.timeframe,
            examples.horizon,
            examples.bar_number
        from {batch} as examples
        left join {cuts} as cuts
            on examples.cut_id = cuts.cut_id
        left join features.bar_grid as last_bars
            on
                examples.calendar = last_bars.calendar
                and examples.timeframe = last_bars.timeframe
                and examples.bar_number + examples.horizon_bars
                = last_bars.bar_number
        where
            examples.split_part = 'validation'
            and (
                examples.closed_at >= cuts.validation_starts_at
                and examples.label_end_at <= cuts.as_of
                and last_bars.closed_at <= cuts.as_of
            ) is not true
    """


class ExpectRowsToLieInTheWindow(KeyedRowsExpectation):
    """No row closes before the cut's window starts or after its as_of."""

    query: ClassVar[str] = """
        select
            examples.cut_id,
            examples.symbol_id,
            examples.ticker,
            examples.timeframe,
            examples.horizon,
            examples.bar_number
        from {batch} as examples
        left join {cuts} as cuts
            on examples.cut_id = cuts.cut_id
        where (
            examples.closed_at >= cuts.window_starts_at
            and examples.closed_at <= cuts.as_of
            and examples.as_of = cuts.as_of
            and examples.calendar = cuts.calendar
            and examples.timeframe = cuts.timeframe
        ) is not true
    """


class ExpectCutsToHaveBothParts(KeyedRowsExpectation):
    """Every cut that is judged has fit rows and validation rows."""

    query: ClassVar[str] = """
        select
            cuts.cut_id,
            cuts.calendar,
            cuts.timeframe,
            count(case when examples.split_part = 'fit' then 1 end) as n_fit,
            count(case when examples.split_part = 'validation' then 1 end)
                as n_validation
        from {cuts} as cuts
        left join {batch} as examples
            on cuts.cut_id = examples.cut_id
        group by cuts.cut_id, cuts.calendar, cuts.timeframe
        having
            count(case when examples.split_part = 'fit' then 1 end) = 0
            or count(case when examples.split_part = 'validation' then 1 end)
            = 0
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
                count(case when split_part = 'fit' then 1 end) as n_fit,
                count(case when split_part = 'validation' then 1 end)
                    as n_validation
            from {batch} as examples
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

    Usable feature rows with a label that ends by the last bar closed at as_of
    are counted by bar numbers: fit if the label ends the embargo before the
    split bar, validation if the row is not before it, else purged. A row the
    view lost, doubled or put in another part makes a difference.
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
                end as split_part
            from bounds
            inner join features.labels as labels
                on
                    bounds.calendar = labels.calendar
                    and bounds.timeframe = labels.timeframe
                    and bounds.first_bar <= labels.bar_number
                    and bounds.last_bar
                    >= labels.bar_number + labels.horizon_bars
            inner join features.feature_rows as feature_rows
                on
                    labels.symbol_id = feature_rows.symbol_id
                    and labels.timeframe = feature_rows.timeframe
                    and labels.bar_number = feature_rows.bar_number
            where labels.label is not null and feature_rows.is_usable
        ),
        expected as (
            select
                cut_id, symbol_id, ticker, timeframe, horizon, split_part,
                count(*) as n_rows
            from placed
            group by cut_id, symbol_id, ticker, timeframe, horizon, split_part
        ),
        found as (
            select
                cut_id, symbol_id, ticker, timeframe, horizon, split_part,
                count(*) as n_rows
            from {batch} as examples
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
        full outer join found
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
            count(case when split_part = 'fit' then 1 end) as n_fit,
            count(case when split_part = 'validation' then 1 end)
                as n_validation
        from {batch} as examples
        group by cut_id, symbol_id, ticker, timeframe, horizon
        having
            count(case when split_part = 'fit' then 1 end) < {min_fit_rows}
            or count(case when split_part = 'validation' then 1 end)
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
        with counted as (
            select
                cut_id,
                symbol_id,
                ticker,
                timeframe,
                horizon,
                split_part,
                count(case when label = 'BEARISH' then 1 end) as n_bearish,
                count(case when label = 'NEUTRAL' then 1 end) as n_neutral,
                count(case when label = 'BULLISH' then 1 end) as n_bullish
            from {batch} as examples
            where split_part in ('fit', 'validation')
            group by cut_id, symbol_id, ticker, timeframe, horizon, split_part
        )
        select *
        from counted
        where
            least(n_bearish, n_neutral, n_bullish)
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
    """

    success_keys: ClassVar[tuple[str, ...]] = (
        *KeyedRowsExpectation.success_keys,
        "min_share",
        "min_effective_rows",
    )
    query: ClassVar[str] = """
        with counted as (
            select
                cut_id,
                timeframe,
                horizon,
                count(*) as n_rows,
                sum(1.0 / horizon_bars) as n_effective_rows,
                count(case when label = 'BEARISH' then 1 end) as n_bearish,
                count(case when label = 'NEUTRAL' then 1 end) as n_neutral,
                count(case when label = 'BULLISH' then 1 end) as n_bullish
            from {batch} as examples
            where split_part = 'fit'
            group by cut_id, timeframe, horizon
        )
        select cut_id, timeframe, horizon, n_bearish, n_neutral, n_bullish
        from counted
        where
            n_effective_rows >= {min_effective_rows}
            and least(n_bearish, n_neutral, n_bullish) < {min_share} * n_rows
    """

    min_share: float
    min_effective_rows: float
