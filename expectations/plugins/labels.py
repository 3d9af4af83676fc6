"""Expectations of `features.labels` and of every set of labelled rows."""

from typing import ClassVar

from expectations.plugins.keyed_rows import (
    KeyedRowsExpectation,
    RowConditionExpectation,
)


class ExpectLabelsToBeClasses(RowConditionExpectation):
    """A label is BEARISH, NEUTRAL or BULLISH.

    Great Expectations' own checks of a column's values are not used: to learn
    the columns of a query they read all of its rows into Python.

    Parameters
    ----------
    may_be_missing : bool
        Whether NULL will do.
    """

    success_keys: ClassVar[tuple[str, ...]] = (
        *RowConditionExpectation.success_keys,
        "may_be_missing",
    )
    condition: ClassVar[str] = """
        label in ('BEARISH', 'NEUTRAL', 'BULLISH')
        or (label is null and {may_be_missing})
    """
    shown: ClassVar[tuple[str, ...]] = ("label",)

    may_be_missing: bool


class ExpectLabelsOrReasons(RowConditionExpectation):
    """A label is NULL exactly when a reason says why."""

    condition: ClassVar[str] = "(label is null) = (label_reason is not null)"


class ExpectLabelsToAgreeWithReturns(RowConditionExpectation):
    """The class of a labelled row is that of its return and threshold.

    A move of exactly the threshold may be called either way. Return, threshold
    and expected volatility are finite, the last two positive.
    """

    condition: ClassVar[str] = """
        label is null
        or (
            label_return > '-Infinity' and label_return < 'Infinity'
            and label_threshold > 0 and label_threshold < 'Infinity'
            and expected_volatility > 0 and expected_volatility < 'Infinity'
            and case label
                when 'BULLISH' then label_return >= label_threshold
                when 'BEARISH' then label_return <= -label_threshold
                when 'NEUTRAL' then abs(label_return) <= label_threshold
            end
        )
    """


class ExpectLabelsToEndAfterTheyBegin(RowConditionExpectation):
    """A label ends after the close of its bar."""

    condition: ClassVar[str] = (
        "label_end_at is null or label_end_at > closed_at"
    )
    shown: ClassVar[tuple[str, ...]] = ("closed_at", "label_end_at")


class ExpectLabelsToEndOnTheGrid(RowConditionExpectation):
    """A label ends at the close of the grid bar `horizon_bars` further on."""

    condition: ClassVar[str] = """
        label_end_at is not distinct from grid_label_end_at
        and label_end_bar_number = bar_number + horizon_bars
    """
    shown: ClassVar[tuple[str, ...]] = ("label_end_at", "grid_label_end_at")


class ExpectLabelsToEndOnKnownBars(RowConditionExpectation):
    """The bar that a label ends on is there: none is given ahead of it."""

    condition: ClassVar[str] = """
        label is null or target_bar_number is not null
    """


class ExpectEveryBarToHaveEveryHorizon(KeyedRowsExpectation):
    """Each series has as many labels for each horizon as it has bars."""

    query: ClassVar[str] = """
        with counted as (
            select symbol_id, timeframe, count(*) as n_bars
            from features.bars
            group by symbol_id, timeframe
        ),
        series as (
            select
                counted.symbol_id,
                symbols.ticker,
                counted.timeframe,
                horizons.horizon,
                counted.n_bars
            from counted
            inner join raw.symbols as symbols
                on counted.symbol_id = symbols.symbol_id
            inner join features.horizons as horizons
                on
                    symbols.calendar = horizons.calendar
                    and counted.timeframe = horizons.timeframe
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
