"""Every fault planted in a small market is reported by what is meant for it.

`pytest -v -m "slow or not slow"` prints the list: what was planted, and what
caught it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from python_ml.exceptions import (
    BuildError,
    LeakageError,
    NotEnoughDataError,
)
from python_ml.operations.lookahead.check import (
    LookaheadSummary,
    check_lookahead,
    raise_on_findings,
)
from python_ml.operations.lookahead.compare import COMPARISONS
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from tests.sabotage import (
    LOOK_AHEAD,
    TRUNCATION,
    Bench,
    Fault,
    make_bench,
)

MACROS = "dbt_project/macros"
BARS = "dbt_project/models/intermediate/bars"
FEATURES = "dbt_project/models/intermediate/features"
LABELS = "dbt_project/models/intermediate/labels"
MARTS = "dbt_project/models/features"

ROWS = ("feature_rows",)
PROFILED_ROWS = ("int_session_profiles", "int_higher_states", *ROWS)
EXAMPLES = ("training_examples", "audit_label_crosses_cut")

EXAMPLES_SQL = f"{MARTS}/training_examples.sql"
SPLIT_SQL = f"{MACROS}/split_part.sql"
TARGETS_SQL = f"{LABELS}/int_bars_matched_to_targets.sql"
PROFILES_SQL = f"{FEATURES}/int_session_profiles.sql"
AHEAD_SQL = f"{FEATURES}/int_profiles_summed_ahead.sql"
ENDS_BEFORE = "labels.label_end_at < cuts.fit_labels_end_before"
TARGET_BAR = "scaled.target_bar_number = targets.bar_number"
PAIR = "symbol_id = (select symbol_id from {raw}.symbols where ticker = 'PAIR')"
# The constraints of the built tables would refuse what is planted.
LOOSEN = """
do $$
declare found record;
begin
    for found in
        select conrelid::regclass as relation, conname
        from pg_constraint
        where
            contype in ('p', 'c')
            and connamespace = to_regnamespace('{features}')
    loop
        execute format(
            'alter table %s drop constraint %I cascade',
            found.relation, found.conname
        );
    end loop;
end $$
"""

FAULTS = {
    # Windows
    "lead for lag": Fault(
        edits=(
            (
                f"{MACROS}/trailing.sql",
                "lag({{ expression }}",
                "lead({{ expression }}",
            ),
        ),
        compiled="int_bars_averaged_to_volatility",
        caught_by=(
            "unit test a_move_looks_back_one_bar_of_its_own_series",
            f"pytest {LOOK_AHEAD}",
        ),
    ),
    "a descending window": Fault(
        edits=(
            (
                f"{MACROS}/trailing.sql",
                "order by bar_number asc",
                "order by bar_number desc",
            ),
        ),
        compiled="int_bars_averaged_to_volatility",
        caught_by=(
            "unit test a_move_looks_back_one_bar_of_its_own_series",
            f"pytest {LOOK_AHEAD}",
        ),
    ),
    "a window across series": Fault(
        edits=((f"{MACROS}/trailing.sql", "    partition by block_id\n", ""),),
        caught_by=("unit test a_block_reads_its_run_up_and_no_other_block",),
    ),
    "a block without its run-up": Fault(
        edits=(
            (
                f"{FEATURES}/int_bars_cut_into_blocks.sql",
                "mod(placed.bar_number, {{ block_bars }})\n"
                "                >= {{ block_bars }} - {{ run_up_bars }}",
                "mod(placed.bar_number, {{ block_bars }}) >= {{ block_bars }}",
            ),
        ),
        rebuilt=("int_bars_cut_into_blocks", *ROWS),
        caught_by=("pytest test_features_equal_pandas",),
    ),
    "a run-up in the block it was taken from": Fault(
        edits=(
            (
                f"{FEATURES}/int_bars_cut_into_blocks.sql",
                "{{ '+ 1' if is_run_up }} as block_id",
                "as block_id",
            ),
        ),
        rebuilt=("int_bars_cut_into_blocks",),
        caught_by=(
            "dbt test "
            "unique_grain_int_bars_cut_into_blocks_block_id__bar_number",
        ),
    ),
    "volatility of a window with a hole": Fault(
        edits=(
            (
                f"{FEATURES}/int_bars_averaged_to_volatility.sql",
                "when is_whole then mean_squared_move\n"
                "        end as place_variance",
                "else mean_squared_move\n        end as place_variance",
            ),
        ),
        caught_by=("unit test volatility_needs_a_whole_window",),
    ),
    "a frame that reaches into the next session": Fault(
        edits=(
            (
                PROFILES_SQL,
                "rows between {{ window_bars - 1 }} preceding and current row",
                "rows between {{ window_bars - 1 }} preceding and 1 following",
            ),
        ),
        compiled="int_session_profiles",
        caught_by=(f"pytest {LOOK_AHEAD}",),
    ),
    "places ahead that this very session has yet to reach": Fault(
        edits=(
            (
                PROFILES_SQL,
                "else session_number - 1",
                "else session_number",
            ),
        ),
        rebuilt=PROFILED_ROWS,
        caught_by=(
            "pytest test_features_equal_pandas",
            f"pytest {TRUNCATION}",
        ),
    ),
    "a session profile of all history, to come included": Fault(
        edits=(
            (
                PROFILES_SQL,
                "avg(squared_move) over moves_at_place",
                "avg(squared_move) over (partition by "
                "symbol_id, timeframe, place_in_session)",
            ),
        ),
        rebuilt=PROFILED_ROWS,
        caught_by=(
            "pytest test_features_equal_pandas",
            f"pytest {TRUNCATION}",
        ),
    ),
    "a session profile of the session to come": Fault(
        edits=(
            (
                PROFILES_SQL,
                "variance_to_place\n"
                "                    + previous_total_variance\n"
                "                    - previous_variance_to_place",
                "total_variance",
            ),
        ),
        rebuilt=PROFILED_ROWS,
        caught_by=(
            "pytest test_features_equal_pandas",
            f"pytest {TRUNCATION}",
        ),
    ),
    # Joins
    "this week's bar joined to its days": Fault(
        edits=(
            (
                f"{MARTS}/bar_grid.sql",
                "then sessions.week_number - 1",
                "then sessions.week_number",
            ),
        ),
        caught_by=("unit test sessions_look_up_to_the_last_closed_week",),
    ),
    "this hour's bar joined to its quarters": Fault(
        edits=(
            (
                f"{MARTS}/bar_grid.sql",
                "else {{ higher_number }} - 1",
                "else {{ higher_number }}",
            ),
        ),
        rebuilt=("bar_grid",),
        caught_by=("pytest test_the_grid_equals_pandas",),
    ),
    "a later higher-timeframe bar joined": Fault(
        edits=(
            (
                f"{MARTS}/feature_rows.sql",
                "named.higher_bar_number = higher.bar_number",
                "named.higher_bar_number + 1 = higher.bar_number",
            ),
        ),
        rebuilt=ROWS,
        caught_by=("constraint feature_rows_use_no_later_higher_bar",),
    ),
    "a later higher-timeframe bar joined and not declared": Fault(
        edits=(
            (
                f"{MARTS}/feature_rows.sql",
                "named.higher_bar_number = higher.bar_number",
                "named.higher_bar_number + 1 = higher.bar_number",
            ),
            (
                f"{MARTS}/feature_rows.sql",
                "higher.closed_at as higher_bar_closed_at",
                "named.closed_at as higher_bar_closed_at",
            ),
        ),
        rebuilt=ROWS,
        caught_by=("pytest test_features_equal_pandas",),
    ),
    "a coarser bar without its last part": Fault(
        edits=(
            (
                f"{MARTS}/bars.sql",
                "    having max(case when is_last then 1 else 0 end) = 1\n",
                "",
            ),
        ),
        caught_by=(
            "unit test a_week_needs_enough_of_its_sessions_and_the_last_one",
        ),
    ),
    "a coarser bar of too few parts": Fault(
        edits=(
            (
                f"{MARTS}/bars.sql",
                "double precision) >= min_parts_share",
                "double precision) >= 0",
            ),
        ),
        caught_by=(
            "unit test a_week_needs_enough_of_its_sessions_and_the_last_one",
        ),
    ),
    "a coarser bar opened by a part that is missing": Fault(
        edits=(
            (
                f"{MARTS}/bars.sql",
                "min(part_number) as first_part_number",
                "max(part_number) as first_part_number",
            ),
        ),
        caught_by=(
            "unit test a_week_needs_enough_of_its_sessions_and_the_last_one",
        ),
    ),
    # Holes
    "a carried bar counted as observed": Fault(
        edits=(
            (
                f"{MACROS}/scaled_features.sql",
                "running_count('not is_carried')",
                "running_count('true')",
            ),
        ),
        rebuilt=("int_higher_states", *ROWS),
        caught_by=("pytest test_features_equal_pandas",),
    ),
    "a move across a hole called one of a single bar": Fault(
        edits=(
            (
                f"{MACROS}/trailing.sql",
                "greatest({{ bars_spanned() }}, 1)",
                "1",
            ),
        ),
        caught_by=(
            "unit test a_move_across_a_hole_counts_once_over_the_bars_it_spans",
        ),
    ),
    "a hole carried from the bar behind it": Fault(
        edits=(
            (
                f"{FEATURES}/int_bars_carried_across_holes.sql",
                "lag(bars.adjusted_close) over along_series",
                "bars.adjusted_close",
            ),
        ),
        caught_by=(
            "unit test "
            "a_hole_of_the_most_bars_is_carried_and_one_longer_is_not",
        ),
    ),
    "a hole filled by a later bar": Fault(
        edits=(
            (
                TARGETS_SQL,
                "        bars.bar_number,\n        bars.adjusted_close,\n",
                "        row_number() over (partition by bars.symbol_id, "
                "bars.timeframe order by bars.bar_number asc) as bar_number,\n"
                "        bars.adjusted_close,\n",
            ),
        ),
        caught_by=(
            "unit test "
            "a_hole_in_the_bars_does_not_pull_a_later_bar_into_its_place",
        ),
    ),
    "a target of any symbol": Fault(
        edits=(
            (
                TARGETS_SQL,
                "scaled.symbol_id = targets.symbol_id\n            and ",
                "",
            ),
        ),
        rebuilt=("int_bars_matched_to_targets",),
        caught_by=(
            "dbt test unique_grain_int_bars_matched_to_targets_"
            "symbol_id__timeframe__horizon__bar_number",
        ),
    ),
    # Labels
    "label_end_at moved earlier": Fault(
        edits=(
            (
                f"{FEATURES}/int_horizons_laid_on_grid.sql",
                "ends.closed_at as label_end_at",
                "ends.closed_at - interval '1 minute' as label_end_at",
            ),
        ),
        rebuilt=("int_horizons_laid_on_grid", "labels"),
        caught_by=(
            "audit audit_label_end_off_grid",
            "expectation labels.expect_labels_to_end_on_the_grid",
        ),
    ),
    "a horizon one bar short": Fault(
        edits=(
            (
                f"{MACROS}/forward.sql",
                "{{ bar_number }} + {{ horizon_bars }}",
                "{{ bar_number }} + {{ horizon_bars }} - 1",
            ),
        ),
        rebuilt=("int_horizons_laid_on_grid", "labels"),
        caught_by=("constraint labels_end_after_they_start",),
    ),
    "a move one bar shorter than declared": Fault(
        edits=(
            (
                TARGETS_SQL,
                TARGET_BAR,
                TARGET_BAR.replace(" =", " - 1 ="),
            ),
        ),
        rebuilt=("int_bars_matched_to_targets", "labels"),
        caught_by=(
            "unit test "
            "a_hole_in_the_bars_does_not_pull_a_later_bar_into_its_place",
            "pytest test_labels_equal_pandas",
        ),
    ),
    "a label before its time": Fault(
        edits=(
            (
                TARGETS_SQL,
                TARGET_BAR,
                "least(scaled.target_bar_number, series.last_bar_number)\n"
                "            = targets.bar_number",
            ),
            (
                TARGETS_SQL,
                "scaled.target_bar_number <= series.last_bar_number as",
                "true as",
            ),
        ),
        rebuilt=("int_bars_matched_to_targets", "labels"),
        caught_by=(
            "audit audit_label_present_before_its_time",
            "expectation labels.expect_labels_to_end_on_known_bars",
        ),
    ),
    "NEUTRAL for want of data": Fault(
        edits=(
            (
                f"{MACROS}/forward.sql",
                "when {{ log_return }} is not null"
                " and {{ threshold }} is not null\n            then 'NEUTRAL'",
                "else 'NEUTRAL'",
            ),
            (
                f"{MARTS}/labels.sql",
                "        when label_return is null then 'missing_bar'\n",
                "",
            ),
        ),
        caught_by=(
            "unit test a_missing_label_is_null_with_a_reason_and_never_neutral",
        ),
    ),
    "a move of the threshold called a move": Fault(
        edits=(
            (
                f"{MACROS}/forward.sql",
                "> {{ threshold }} then",
                ">= {{ threshold }} then",
            ),
        ),
        caught_by=("unit test a_move_of_exactly_the_threshold_is_neutral",),
    ),
    "an early close ignored in the variance ahead": Fault(
        edits=(
            (
                AHEAD_SQL,
                "where session_bars < full_session_bars",
                "where session_bars < 0",
            ),
        ),
        rebuilt=("int_profiles_summed_ahead", "labels"),
        caught_by=("pytest test_labels_equal_pandas",),
    ),
    "the variance ahead by the next session's profile": Fault(
        edits=(
            (
                AHEAD_SQL,
                "and places.session_number = profiles.session_number",
                "and places.session_number + 1 = profiles.session_number",
            ),
        ),
        rebuilt=("int_session_profiles", "int_profiles_summed_ahead", "labels"),
        caught_by=(
            "pytest test_labels_equal_pandas",
            f"pytest {TRUNCATION}",
        ),
    ),
    # Cuts
    "<= for < at the split": Fault(
        edits=((SPLIT_SQL, ENDS_BEFORE, ENDS_BEFORE.replace("<", "<=")),),
        rebuilt=EXAMPLES,
        caught_by=(
            "unit test rows_whose_label_ends_at_the_boundary_are_purged",
            "audit audit_label_crosses_cut",
            "expectation training_examples."
            "expect_fit_labels_to_end_before_the_split",
        ),
    ),
    "no purge": Fault(
        edits=(
            (
                SPLIT_SQL,
                ENDS_BEFORE,
                "labels.closed_at < cuts.validation_starts_at",
            ),
        ),
        rebuilt=EXAMPLES,
        caught_by=(
            "unit test rows_whose_label_ends_at_the_boundary_are_purged",
            "audit audit_label_crosses_cut",
            "expectation training_examples."
            "expect_validation_to_start_after_fit_labels",
        ),
    ),
    "no embargo": Fault(
        edits=(
            (
                SPLIT_SQL,
                ENDS_BEFORE,
                "labels.label_end_at < cuts.validation_starts_at",
            ),
        ),
        rebuilt=EXAMPLES,
        caught_by=(
            "unit test an_embargo_keeps_more_bars_between_fit_and_validation",
            "audit audit_label_crosses_cut",
            "expectation training_examples.expect_embargo_to_be_kept",
        ),
    ),
    "a cut that forgets its embargo": Fault(
        statements=(
            "update {ml}.training_cuts "
            "set fit_labels_end_before = validation_starts_at",
        ),
        caught_by=(
            "audit audit_label_crosses_cut",
            "expectation training_examples.expect_embargo_to_be_kept",
        ),
    ),
    "labels that end after the as-of time": Fault(
        edits=(
            (
                EXAMPLES_SQL,
                "            and cuts.as_of >= labels.label_end_at\n",
                "",
            ),
        ),
        rebuilt=EXAMPLES,
        caught_by=(
            "unit test rows_whose_label_ends_at_the_boundary_are_purged",
            "audit audit_label_crosses_cut",
            "expectation training_examples."
            "expect_validation_to_follow_the_split",
        ),
    ),
    "rows from before the window": Fault(
        edits=(
            (
                EXAMPLES_SQL,
                "            and cuts.window_starts_at <= labels.closed_at\n",
                "",
            ),
        ),
        statements=(
            "update {ml}.training_cuts set window_starts_at "
            "= window_starts_at + interval '7 days'",
        ),
        rebuilt=("training_examples",),
        caught_by=(
            "unit test rows_whose_label_ends_at_the_boundary_are_purged",
            "expectation training_examples.expect_rows_to_lie_in_the_window",
        ),
    ),
    "a shuffled split": Fault(
        edits=(
            (SPLIT_SQL, ENDS_BEFORE, "mod(labels.bar_number, 10) < 7"),
            (
                SPLIT_SQL,
                "labels.closed_at >= cuts.validation_starts_at",
                "true",
            ),
        ),
        rebuilt=EXAMPLES,
        caught_by=(
            "unit test rows_whose_label_ends_at_the_boundary_are_purged",
            "audit audit_label_crosses_cut",
            "expectation training_examples."
            "expect_validation_to_start_after_fit_labels",
        ),
    ),
    "rows lost on the way to the examples": Fault(
        edits=(
            (
                EXAMPLES_SQL,
                "where is_usable",
                "where is_usable and mod(bar_number, 10) > 0",
            ),
        ),
        rebuilt=("training_examples",),
        caught_by=(
            "expectation training_examples.expect_parts_to_hold_every_row",
        ),
    ),
    "a horizon that is trained and not scored": Fault(
        edits=(
            (
                f"{MARTS}/scoring_examples.sql",
                "expected_volatility is not null\n",
                "expected_volatility is not null and horizon <> '5d'\n",
            ),
        ),
        rebuilt=(
            "scoring_examples",
            "audit_series_in_training_and_not_in_scoring",
        ),
        caught_by=("audit audit_series_in_training_and_not_in_scoring",),
    ),
    # Grid
    "a grid shifted by one bar": Fault(
        edits=(
            (
                f"{MARTS}/bar_grid.sql",
                "_bars_before + places.place as bar_number",
                "_bars_before + places.place + 1 as bar_number",
            ),
        ),
        rebuilt=("bar_grid",),
        caught_by=("pytest test_the_grid_equals_pandas",),
    ),
    "bars anchored at the hour": Fault(
        edits=(
            (
                f"{BARS}/int_sessions_split_into_bars.sql",
                "        opened_at,\n        closed_at,\n",
                "        date_trunc('hour', opened_at) as opened_at,\n"
                "        closed_at,\n",
            ),
        ),
        rebuilt=(
            "int_sessions_split_into_bars",
            "bar_grid",
            "audit_bar_off_grid",
        ),
        caught_by=(
            "audit audit_bar_off_grid",
            "pytest test_the_grid_equals_pandas",
        ),
    ),
    "a week that has not ended": Fault(
        edits=(
            (
                f"{BARS}/int_weeks_grouped_from_sessions.sql",
                "weeks.week_number < last_weeks.week_number",
                "weeks.week_number <= last_weeks.week_number",
            ),
        ),
        caught_by=("unit test the_last_week_of_a_calendar_is_no_week_yet",),
    ),
    # Values
    "a split applied to the bars before it": Fault(
        edits=(
            (
                f"{BARS}/int_bars_adjusted.sql",
                "range between unbounded preceding and current row",
                "range between current row and unbounded following",
            ),
        ),
        compiled="int_bars_adjusted",
        caught_by=(
            "unit test a_split_moves_no_bar_before_it_and_no_return_across_it",
            f"pytest {LOOK_AHEAD}",
        ),
    ),
    "adjustments ignored": Fault(
        edits=(
            (
                f"{BARS}/int_bars_adjusted.sql",
                "close / price_factor as adjusted_close",
                "close as adjusted_close",
            ),
        ),
        rebuilt=("int_bars_adjusted", "bars"),
        caught_by=(
            "unit test a_split_moves_no_bar_before_it_and_no_return_across_it",
            "dbt test bars_keep_their_shape_when_adjusted",
        ),
    ),
    "a split a day late": Fault(
        edits=(
            (
                f"{BARS}/int_bars_adjusted.sql",
                "else adjustments.effective_at\n",
                "else adjustments.effective_at + interval '1 day'\n",
            ),
        ),
        caught_by=(
            "unit test a_split_takes_effect_at_the_open_of_its_own_session",
        ),
    ),
    "a split inside a loaded week a week late": Fault(
        edits=(
            (
                f"{BARS}/int_bars_adjusted.sql",
                "then coalesce(sessions.week_opened_at,"
                " adjustments.effective_at)",
                "then adjustments.effective_at",
            ),
        ),
        caught_by=("unit test a_loaded_week_stands_on_the_basis_of_its_close",),
    ),
    "a flat window let through": Fault(
        edits=(
            (
                f"{MARTS}/feature_rows.sql",
                "            when volatility_1 is null then 'flat_window'\n",
                "",
            ),
            (
                f"{MARTS}/feature_rows.sql",
                "            when (\n"
                "                {{ features | join(' + ') }}\n"
                "            ) is null then 'flat_window'\n",
                "",
            ),
        ),
        rebuilt=ROWS,
        caught_by=("expectation feature_rows.expect_features_to_be_finite",),
    ),
    **{
        f"{value} in a usable row": Fault(
            statements=(
                f"update {{features}}.feature_rows set rsi_14 = '{value}' "
                "where (symbol_id, timeframe, bar_number) = ("
                "select symbol_id, timeframe, max(bar_number) "
                f"from {{features}}.feature_rows where {PAIR} "
                "and timeframe = 'd1' and is_usable group by 1, 2)",
            ),
            caught_by=(
                "expectation feature_rows.expect_features_to_be_finite",
            ),
        )
        for value in ("NaN", "-Infinity")
    },
    # Lineage
    "a feature declared from a later bar": Fault(
        edits=(
            (
                f"{MARTS}/feature_rows.sql",
                "closed_at as last_bar_closed_at",
                "closed_at + interval '1 minute' as last_bar_closed_at",
            ),
        ),
        rebuilt=ROWS,
        caught_by=("constraint feature_rows_use_no_later_bar",),
    ),
    "the same, past the constraint": Fault(
        statements=(
            LOOSEN,
            "update {features}.feature_rows "
            "set last_bar_closed_at = closed_at + interval '1 minute' "
            f"where {PAIR} and timeframe = 'd1' and is_usable",
        ),
        caught_by=(
            "audit audit_feature_built_from_later_bar",
            "expectation feature_rows.expect_rows_to_use_no_later_bar",
        ),
    ),
    "a higher bar before its close, past the constraint": Fault(
        statements=(
            LOOSEN,
            "update {features}.feature_rows "
            "set higher_bar_closed_at = closed_at + interval '1 minute' "
            "where timeframe = 'm15' and is_usable",
        ),
        caught_by=(
            "audit audit_higher_bar_used_before_its_close",
            "expectation feature_rows.expect_rows_to_use_no_later_bar",
        ),
    ),
    "later records in a build of the past": Fault(
        edits=(
            (
                f"{MACROS}/knowledge.sql",
                "for column in [closed_at, recorded_at] if column",
                "for column in [closed_at] if column",
            ),
        ),
        caught_by=(
            "unit test "
            "a_build_of_the_past_holds_the_newest_record_known_by_then",
            "unit test a_build_of_the_past_knows_the_factors_recorded_by_then",
        ),
    ),
    "the oldest record for the newest": Fault(
        edits=(
            (
                "dbt_project/models/staging/market/stg_market__bars.sql",
                "records.batch_id < later_records.batch_id",
                "records.batch_id > later_records.batch_id",
            ),
        ),
        caught_by=(
            "unit test "
            "a_build_of_the_past_holds_the_newest_record_known_by_then",
        ),
    ),
    "an adjustment whose record is not declared": Fault(
        edits=(
            (
                f"{BARS}/int_bars_adjusted.sql",
                "greatest(\n"
                "            recorded_at,"
                " coalesce(own_adjustment_recorded_at, recorded_at)\n"
                "        ) as max_recorded_at",
                "recorded_at as max_recorded_at",
            ),
        ),
        caught_by=(
            "unit test a_split_takes_effect_at_the_open_of_its_own_session",
        ),
    ),
    "a restated bar that the last row of its window does not declare": Fault(
        # The window is a bar too short.
        edits=(
            (
                f"{MACROS}/scaled_features.sql",
                "'greatest', 'recorded_at_20', 20, longest_bars + 1",
                "'greatest', 'recorded_at_20', 20, longest_bars",
            ),
        ),
        statements=(
            "update {features}.bars set max_recorded_at = closed_at "
            "+ interval '99 days' where (symbol_id, timeframe, bar_number) = ("
            "select symbol_id, timeframe, max(bar_number) - 100 "
            f"from {{features}}.bars where {PAIR} and timeframe = 'd1' "
            "group by 1, 2)",
        ),
        rebuilt=ROWS,
        caught_by=("audit audit_restatement_used_before_it_was_recorded",),
    ),
    "a restatement dated before its load": Fault(
        statements=(
            "insert into {raw}.ingest_batches (source, ingested_at, n_bars, "
            "n_adjustments, n_rejected) values ('planted', now(), 1, 0, 0)",
            "insert into {raw}.bars select symbol_id, timeframe, opened_at, "
            "(select max(batch_id) from {raw}.ingest_batches), closed_at, "
            "open, high, low, close, volume, closed_at, true, now(), "
            f"'planted' from {{raw}}.bars where {PAIR} "
            "order by opened_at offset 9 limit 1",
            # As the next build does first.
            "update {staging}.stg_market__last_batch "
            "set batch_id = (select max(batch_id) from {raw}.ingest_batches)",
        ),
        caught_by=("audit audit_restatement_used_before_it_was_recorded",),
    ),
    "a training row not known at the as-of time": Fault(
        statements=(
            "update {features}.feature_rows set max_recorded_at = cuts.as_of "
            "+ interval '1 day' from {ml}.training_cuts as cuts "
            f"where {PAIR} and feature_rows.timeframe = 'd1' "
            "and cuts.timeframe = 'd1' "
            "and feature_rows.closed_at = cuts.validation_starts_at",
        ),
        caught_by=("audit audit_training_row_not_known_at_as_of",),
    ),
    "a forecast by a version from its future": Fault(
        statements=(
            "insert into {ml}.ensembles (version_id, symbol_id, timeframe, "
            "as_of, cut_id, artifact_path, sha256, horizons, feature_names, "
            "classes, data_fingerprint, settings_fingerprint, code_version, "
            "library_versions) select 'PAIR_d1_late', symbol_id, 'd1', now(), "
            "(select min(cut_id) from {ml}.training_cuts), '', '', '[]', "
            "'[]', '[]', '', '', '', '{}' "
            f"from {{raw}}.symbols where {PAIR}",
            "insert into {ml}.forecasts (symbol_id, timeframe, horizon, "
            "horizon_bars, bar_number, closed_at, run_kind, run_name, "
            "issued_at, is_late, target_bar_number, target_at, "
            "probability_bearish, probability_neutral, probability_bullish, "
            "direction, confidence, climatology_bearish, climatology_neutral, "
            "climatology_bullish, member_probabilities, reference_close, "
            "expected_volatility, label_threshold, price_target, lower_50, "
            "upper_50, lower_80, upper_80, lower_95, upper_95, version_id) "
            "select symbol_id, timeframe, '1d', 1, bar_number, closed_at, "
            "'replay', 'replay', now(), false, bar_number + 1, "
            "closed_at + interval '1 day', 0.2, 0.3, 0.5, 'BULLISH', 0.1, "
            "0.3, 0.4, 0.3, '{}', 100, 0.01, 0.004, 101, 99, 101, 98, 102, "
            f"97, 103, 'PAIR_d1_late' from {{features}}.bars where {PAIR} "
            "and timeframe = 'd1' order by bar_number desc limit 1",
        ),
        caught_by=("audit audit_forecast_by_version_from_its_future",),
    ),
    # Data
    "a bar without a session": Fault(
        statements=(
            # The Saturday after the first Friday.
            "insert into {raw}.bars select symbol_id, timeframe, "
            "opened_at + interval '1 day', batch_id, "
            "closed_at + interval '1 day', open, high, low, close, volume, "
            "recorded_at, is_backfill, ingested_at, source from {raw}.bars "
            f"where {PAIR} and extract(isodow from opened_at) = 5 "
            "order by opened_at limit 1",
        ),
        caught_by=(
            "audit audit_bar_without_session",
            "expectation bars.expect_loaded_bars_to_be_there",
        ),
    ),
    **{
        f"a bar of {timeframe} off the grid": Fault(
            statements=(
                "insert into {raw}.bars select symbol_id, timeframe, "
                f"opened_at + interval '{minutes} minutes', batch_id, "
                "closed_at, open, high, low, close, volume, recorded_at, "
                "is_backfill, ingested_at, source from {raw}.bars "
                f"where timeframe = '{timeframe}' order by opened_at limit 1",
            ),
            caught_by=("audit audit_bar_off_grid",),
        )
        for timeframe, minutes in (("m15", 5), ("d1", 60))
    },
    "a duplicate grain": Fault(
        statements=(
            LOOSEN,
            "insert into {features}.feature_rows "
            f"select * from {{features}}.feature_rows where {PAIR} "
            "and timeframe = 'd1' order by bar_number desc limit 1",
        ),
        caught_by=(
            "audit audit_duplicate_grain",
            "dbt test unique_grain_feature_rows_"
            "symbol_id__timeframe__bar_number",
            "expectation feature_rows.expect_grain_to_be_unique",
        ),
    ),
    "a series without bars": Fault(
        statements=(f"delete from {{features}}.bars where {PAIR}",),
        caught_by=("expectation bars.expect_loaded_bars_to_be_there",),
    ),
    "a series without a weekly bar": Fault(
        statements=(
            f"delete from {{features}}.bars where {PAIR} and timeframe = 'w1'",
        ),
        caught_by=("expectation bars.expect_coarser_series_to_be_there",),
    ),
    "a series without feature rows": Fault(
        statements=(f"delete from {{features}}.feature_rows where {PAIR}",),
        caught_by=(
            "expectation training_examples.expect_series_to_be_in_both_parts",
        ),
    ),
    "a bar without labels": Fault(
        statements=(
            f"delete from {{features}}.labels where {PAIR} "
            "and timeframe = 'd1' and horizon = '5d' "
            "and bar_number = (select max(bar_number) - 100 "
            f"from {{features}}.bars where {PAIR} and timeframe = 'd1')",
        ),
        caught_by=(
            "expectation labels.expect_every_bar_to_have_every_horizon",
        ),
    ),
    "a label kept back": Fault(
        statements=(
            "update {features}.labels set label = null, label_return = null, "
            "label_reason = 'not_closed' where label is not null "
            "and timeframe = 'd1' and mod(bar_number, 100) = 0",
        ),
        caught_by=("dbt test assert_labels_are_missing_for_their_reason",),
    ),
    "a rolled-up bar among loaded ones": Fault(
        statements=(
            "update {features}.bars set rolled_up_from = 'h4' "
            f"where {PAIR} and timeframe = 'd1' and mod(bar_number, 100) = 0",
        ),
        caught_by=("expectation bars.expect_series_to_have_one_source",),
    ),
    "an expectation whose class is not imported": Fault(
        edits=(
            (
                "expectations/suites/feature_rows.json",
                "expect_features_to_be_finite",
                "expect_features_to_be_wonderful",
            ),
        ),
        caught_by=("expectation feature_rows.suite_loaded_whole",),
    ),
}
SOUND = Fault(
    compiled="int_session_profiles",
    rebuilt=(*PROFILED_ROWS, "int_profiles_summed_ahead", "labels"),
    caught_by=tuple(
        sorted({name for fault in FAULTS.values() for name in fault.caught_by})
    ),
)


@pytest.fixture(scope="module")
def bench(
    fresh_warehouse: Callable[..., Warehouse],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bench]:
    made = make_bench(fresh_warehouse, tmp_path_factory.mktemp("project"))
    yield made
    made.warehouse.close()


def test_none_of_them_reports_anything_of_a_sound_project(bench: Bench) -> None:
    assert bench.report(SOUND) == set()


def by_name() -> Iterator[Any]:
    """All faults; slow are those whose reporters others have tried already."""
    tried: set[str] = set()
    for name, fault in FAULTS.items():
        marks = [pytest.mark.slow] if tried.issuperset(fault.caught_by) else []
        tried.update(fault.caught_by)
        yield pytest.param(
            fault, marks=marks, id=f"{name} -> {', '.join(fault.caught_by)}"
        )


@pytest.mark.parametrize("fault", list(by_name()))
def test_a_planted_fault_is_reported_by_name(
    bench: Bench, fault: Fault
) -> None:
    reported = bench.report(fault)
    assert set(fault.caught_by) <= reported, reported


# Those that read a later bar. Under the last four nothing usable is built: a
# constraint or a number that cannot be stops them first.
LOOK_AHEADS = (
    "a later higher-timeframe bar joined and not declared",
    "the variance ahead by the next session's profile",
    "a label before its time",
    "a label kept back",
    "a frame that reaches into the next session",
    "places ahead that this very session has yet to reach",
    "a session profile of all history, to come included",
    "a session profile of the session to come",
    "lead for lag",
    "a descending window",
    "this week's bar joined to its days",
    "this hour's bar joined to its quarters",
)
N_BUILT = 8
COMPARED = [comparison.table for comparison in COMPARISONS]
REBUILD = ["run", "--select", "+scoring_examples", "+labels", "--full-refresh"]


def test_a_check_for_look_ahead_finds_nothing_in_a_sound_project(
    bench: Bench,
) -> None:
    bench.mend()
    summary = check_lookahead(bench.warehouse, n_cuts=1, seed=1)
    assert summary.findings.empty
    assert min(summary.n_rows[table] for table in COMPARED) > 500
    with bench.warehouse.begin() as connection:
        left = sa.inspect(connection).get_schema_names()
    assert not [name for name in left if name.startswith("asof_")]


def test_a_check_for_look_ahead_tells_two_leaks_apart(bench: Bench) -> None:
    """One of a feature, and one of what labels are scaled by."""
    feature, label = (FAULTS[name] for name in LOOK_AHEADS[:2])
    both = Fault(caught_by=(), edits=(*feature.edits, *label.edits))
    bench.mend()
    with bench.edited(both.edits):
        bench.is_broken = True
        summary = _rebuild_and_check(bench, both)
    found = {
        table: set(rows["column"])
        for table, rows in summary.findings.groupby("table")
    }
    assert "higher_return_20" in found["feature_rows"]
    assert "expected_volatility" in found["labels"]
    with pytest.raises(LeakageError, match="say something else"):
        raise_on_findings(summary)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOK_AHEADS)
def test_a_check_for_look_ahead_finds_what_is_planted(
    bench: Bench, name: str
) -> None:
    fault = FAULTS[name]
    bench.mend()
    with bench.edited(fault.edits):
        bench.is_broken = True
        if name in LOOK_AHEADS[N_BUILT:]:
            with pytest.raises((BuildError, NotEnoughDataError)):
                _rebuild_and_check(bench, fault)
            return
        summary = _rebuild_and_check(bench, fault)
    assert not summary.findings.empty
    with pytest.raises(LeakageError, match="say something else"):
        raise_on_findings(summary)


def _rebuild_and_check(bench: Bench, fault: Fault) -> LookaheadSummary:
    if fault.edits:
        run_dbt(bench.warehouse, REBUILD)
    for statement in fault.statements:
        bench.change(statement)
    return check_lookahead(bench.warehouse, n_cuts=1, seed=1)
