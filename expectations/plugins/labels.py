"""Expectations of `features.labels` and of every set of labelled rows."""

from typing import ClassVar

from expectations.plugins.keyed_rows import KeyedRowsExpectation


class ExpectLabelsOrReasons(KeyedRowsExpectation):
    """A label is NULL exactly when a reason says why."""

    query: ClassVar[str] = """
        select symbol_id, ticker, timeframe, horizon, bar_number
        from {batch} as labels
        where (label is null) = (label_reason is null)
    """


class ExpectLabelsToAgreeWithReturns(KeyedRowsExpectation):
    """The class of a labelled row is that of its return and threshold.

    A move of exactly the threshold may be called either way. Return, threshold
    and expected volatility are finite, the last two positive.
    """

    query: ClassVar[str] = """
        select symbol_id, ticker, timeframe, horizon, bar_number
        from {batch} as labels
        where
            label is not null
            and (
                label_return > '-Infinity' and label_return < 'Infinity'
                and label_threshold > 0 and label_threshold < 'Infinity'
                and expected_volatility > 0 and expected_volatility < 'Infinity'
                and case label
                    when 'BULLISH' then label_return >= label_threshold
                    when 'BEARISH' then label_return <= -label_threshold
                    when 'NEUTRAL' then abs(label_return) <= label_threshold
                end
            ) is not true
    """


class ExpectLabelsToEndOnTheGrid(KeyedRowsExpectation):
    """A label ends at the close of the grid bar `horizon_bars` further on."""

    query: ClassVar[str] = """
        select
            labels.symbol_id,
            labels.ticker,
            labels.timeframe,
            labels.horizon,
            labels.bar_number,
            labels.label_end_at,
            grid.closed_at as label_should_end_at
        from {batch} as labels
        left join features.bar_grid as grid
            on
                labels.calendar = grid.calendar
                and labels.timeframe = grid.timeframe
                and labels.bar_number + labels.horizon_bars = grid.bar_number
        where
            labels.label_end_at is distinct from grid.closed_at
            or labels.label_end_bar_number
            is distinct from labels.bar_number + labels.horizon_bars
    """


class ExpectLabelsToEndOnKnownBars(KeyedRowsExpectation):
    """The bar that a label ends on is there: none is given ahead of it."""

    query: ClassVar[str] = """
        select
            labels.symbol_id, labels.ticker, labels.timeframe, labels.horizon,
            labels.bar_number
        from {batch} as labels
        left join features.bars as bars
            on
                labels.symbol_id = bars.symbol_id
                and labels.timeframe = bars.timeframe
                and labels.label_end_bar_number = bars.bar_number
        where labels.label is not null and bars.symbol_id is null
    """


class ExpectEveryBarToHaveEveryHorizon(KeyedRowsExpectation):
    """Each series has as many labels for each horizon as it has bars."""

    query: ClassVar[str] = """
        with series as (
            select
                bars.symbol_id,
                bars.ticker,
                bars.timeframe,
                horizons.horizon,
                count(*) as n_bars
            from features.bars as bars
            inner join features.horizons as horizons
                on
                    bars.calendar = horizons.calendar
                    and bars.timeframe = horizons.timeframe
            group by
                bars.symbol_id, bars.ticker, bars.timeframe, horizons.horizon
        ),
        labelled as (
            select symbol_id, timeframe, horizon, count(*) as n_labels
            from {batch} as labels
            group by symbol_id, timeframe, horizon
        )
        select
            series.symbol_id,
            series.ticker,
            series.timeframe,
            series.horizon,
            series.n_bars,
            coalesce(labelled.n_labels, 0) as n_labels
        from series
        left join labelled
            on
                series.symbol_id = labelled.symbol_id
                and series.timeframe = labelled.timeframe
                and series.horizon = labelled.horizon
        where series.n_bars <> coalesce(labelled.n_labels, 0)
    """
