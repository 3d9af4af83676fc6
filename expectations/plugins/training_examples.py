"""Expectations of `features.training_examples`, for each cut it is split by.

The gate keeps the examples in a temporary table while they are judged.

The cut's times stand in `ml.training_cuts`. Grid bars are numbered densely, so
distances in bars are differences of `bar_number`: they are computed here from
`bar_number` and `horizon_bars`, apart from the times that the view compares.
"""

from typing import ClassVar

from expectations.plugins.keyed_rows import (
    KeyedRowsExpectation,
    RowConditionExpectation,
)


class ExpectSplitPartsToBeKnown(RowConditionExpectation):
    """A row is for fit, for validation or purged between them."""

    condition: ClassVar[str] = "split_part in ('fit', 'validation', 'purged')"
    shown: ClassVar[tuple[str, ...]] = ("split_part",)


class ExpectFitLabelsToEndBeforeTheSplit(RowConditionExpectation):
    """What is fitted on was settled before validation begins: the purge.

    A fit row's `label_end_at` is strictly before the cut's
    `fit_labels_end_before` and `validation_starts_at`.
    """

    condition: ClassVar[str] = """
        split_part is distinct from 'fit'
        or (
            label_end_at < cut_fit_labels_end_before
            and label_end_at < cut_validation_starts_at
        )
    """
    shown: ClassVar[tuple[str, ...]] = ("label_end_at",)


class ExpectValidationToStartAfterFitLabels(KeyedRowsExpectation):
    """No fit label of a series ends at or after its first validation row.

    Taken from the rows alone, whatever the cut says.
    """

    query: ClassVar[str] = """
        select
            fit.cut_id,
            fit.symbol_id,
            fit.ticker,
            fit.timeframe,
            fit.horizon,
            fit.last_label_end_at as last_fit_label_end_at,
            validation.first_closed_at as first_validation_row_closed_at
        from {counts} as fit
        inner join {counts} as validation
            on
                fit.cut_id = validation.cut_id
                and fit.symbol_id = validation.symbol_id
                and fit.timeframe = validation.timeframe
                and fit.horizon = validation.horizon
        where
            fit.split_part = 'fit'
            and validation.split_part = 'validation'
            and fit.last_label_end_at >= validation.first_closed_at
    """


class ExpectEmbargoToBeKept(RowConditionExpectation):
    """The last fit label ends the embargo's grid bars before the split bar."""

    condition: ClassVar[str] = """
        split_part is distinct from 'fit'
        or bar_number + horizon_bars + cut_embargo_bars <= split_bar_number
    """
    shown: ClassVar[tuple[str, ...]] = (
        "split_bar_number - bar_number - horizon_bars as gap_bars",
        "cut_embargo_bars",
    )


class ExpectValidationToFollowTheSplit(RowConditionExpectation):
    """Validation rows close at or after the split, their labels end by as_of.

    The end of the label is taken from the grid too.
    """

    condition: ClassVar[str] = """
        split_part is distinct from 'validation'
        or (
            closed_at >= cut_validation_starts_at
            and label_end_at <= cut_as_of
            and grid_label_end_at <= cut_as_of
        )
    """


class ExpectRowsToLieInTheWindow(RowConditionExpectation):
    """No row closes before the cut's window starts or after its as_of."""

    condition: ClassVar[str] = """
        closed_at >= cut_window_starts_at
        and closed_at <= cut_as_of
        and as_of = cut_as_of
        and calendar = cut_calendar
        and timeframe = cut_timeframe
    """
