"""What changed between the training sets of two ensemble versions.

Loads are numbered in commit order, so dbt builds the tables of a training
again, in schemas of their own, from the records up to the last load before it
(`last_batch_id`). That shows what the version was really trained on, also when
it was trained as of a past that had been restated by then.

Whether the rebuilt rows are those of the training is not taken on trust: their
fingerprint is compared with the one on record.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from sqlalchemy.schema import DropSchema

from python_ml.console.logs import get_logger, log_event
from python_ml.console.text_tables import to_records, to_text
from python_ml.examples.catalog import read_feature_names
from python_ml.examples.reading import read_examples
from python_ml.examples.series import Series
from python_ml.exceptions import UnknownVersionError
from python_ml.training.training_sets import (
    TrainingSet,
    name_latest_versions,
    read_training_set,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import SCHEMAS, Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.jobs import job_run

logger = get_logger(__name__)

SERIES = ["ticker", "timeframe", "horizon"]
CHANGES = ("added", "removed", "restated", "moved")
# Columns beside the features that a row is made of.
EXACT_COLUMNS = ("label", "label_end_at")
MEASURES = ("label_return", "expected_volatility", "label_threshold")
# Of the value, or of one where the value is smaller: a restated bar shifts the
# last digits of running sums behind it, which restates no row.
ROUNDING = 1e-9
REBUILD = (
    "build",
    "--full-refresh",
    "--exclude-resource-type",
    "unit_test",
    "--exclude-resource-type",
    "test",
    "--select",
    "+training_examples",
    "+class_counts",
    "+feature_catalog",
    "+horizon_feature_catalog",
)


@dataclass(frozen=True)
class TrainingSetDiff:
    """What changed from the training set of `a` to that of `b`.

    Parameters
    ----------
    a, b : TrainingSet
    is_exact_a, is_exact_b : bool
        Whether the rebuilt rows have the fingerprint of the training.
    series : DataFrame
        One row per series and horizon: `rows_a`, `rows_b`, rows `added` and
        `removed`, `restated` (in both, with another value, rounding apart),
        `moved` (in both, with the same values, in another part of the split).
    rows : DataFrame
        The changed rows, oldest first: `change`, series, bar, parts and labels
        in `a` and `b`, and `changed_columns`.
    """

    a: TrainingSet
    b: TrainingSet
    is_exact_a: bool
    is_exact_b: bool
    series: pd.DataFrame
    rows: pd.DataFrame

    def to_text(self, *, n_rows: int = 0) -> str:
        """Write the two sets, the counts and the first `n_rows` rows."""
        parts = [
            self.a.to_text(is_exact=self.is_exact_a),
            self.b.to_text(is_exact=self.is_exact_b),
            "\n"
            + to_text(
                self.series,
                columns={
                    name: name.replace("_", " ")
                    for name in (*SERIES, "rows_a", "rows_b", *CHANGES)
                },
            ),
        ]
        if n_rows and len(self.rows):
            columns = (
                *("change", *SERIES, "closed_at", "split_part_a"),
                *("split_part_b", "label_a", "label_b", "changed_columns"),
            )
            parts.append(
                "\n"
                + to_text(
                    self.rows,
                    columns={name: name.replace("_", " ") for name in columns},
                    at_most=n_rows,
                )
            )
        return "\n".join(parts)

    def to_dict(self, *, n_rows: int = 0) -> dict[str, Any]:
        """Plain values for JSON, with the first `n_rows` rows."""
        return {
            "a": self.a.to_dict() | {"is_exact": self.is_exact_a},
            "b": self.b.to_dict() | {"is_exact": self.is_exact_b},
            "series": to_records(self.series),
            "rows": to_records(self.rows.head(n_rows)),
        }


def diff_training_sets(
    warehouse: Warehouse, version_a: str, version_b: str
) -> TrainingSetDiff:
    """Rebuild what two versions were trained on and compare row by row.

    Builds the tables of the past in schemas of their own and drops them again;
    the live ones stay as they are.

    Parameters
    ----------
    warehouse : Warehouse
    version_a, version_b : str
        Versions of one series; the older first to read the changes forward.

    Raises
    ------
    UnknownVersionError
        If a version is not on record, or they are of different series.
    BuildError
        If the tables cannot be built.
    JobRunningError
        If another comparison runs.
    """
    a, b = (
        read_training_set(warehouse, version)
        for version in (version_a, version_b)
    )
    if (a.symbol_id, a.timeframe) != (b.symbol_id, b.timeframe):
        raise UnknownVersionError(
            f"{a.version_id} is of {a.ticker} {a.timeframe}, {b.version_id} of "
            f"{b.ticker} {b.timeframe}: name two versions of one series. "
            f"{name_latest_versions(warehouse, a)}"
        )
    arguments = {"version_a": version_a, "version_b": version_b}
    with job_run(warehouse, "diff-training-set", arguments) as job:
        before = _existing_schemas(warehouse)
        made: set[str] = set()
        try:
            for batch_id in sorted({a.last_batch_id, b.last_batch_id}):
                made |= set(_schemas_of_load(warehouse, batch_id)) - before
                _rebuild(warehouse, batch_id)
            diff = _compare(warehouse, a, b)
        finally:
            _drop(warehouse, sorted(made))
        for name in CHANGES:
            job.counts[name] = int(diff.series[name].sum())
    return diff


def _prefix_of_load(warehouse: Warehouse, batch_id: int) -> str:
    """Schema prefix of what dbt builds from the loads up to one."""
    return f"{warehouse.settings.schema_prefix}batch_{batch_id}_"


def _schemas_of_load(warehouse: Warehouse, batch_id: int) -> list[str]:
    settings = replace(
        warehouse.settings, schema_prefix=_prefix_of_load(warehouse, batch_id)
    )
    return [settings.schema(name) for name in SCHEMAS[2:]]


def _existing_schemas(warehouse: Warehouse) -> set[str]:
    return set(
        read_frame(warehouse, "select nspname from pg_namespace")["nspname"]
    )


def _rebuild(warehouse: Warehouse, batch_id: int) -> None:
    variables = json.dumps({"last_batch_id": batch_id})
    run_dbt(warehouse, [*REBUILD, "--vars", variables])


def _drop(warehouse: Warehouse, schemas: Sequence[str]) -> None:
    with warehouse.begin() as connection:
        for name in schemas:
            connection.execute(DropSchema(name, cascade=True, if_exists=True))
    log_event(logger, "schemas_dropped", schemas=len(schemas))


def _comparison_query(
    examples_a: str, examples_b: str, measures: Sequence[str]
) -> str:
    """Query that joins two tables of examples row by row.

    Parameters
    ----------
    examples_a, examples_b : str
        Tables, with their schemas.
    measures : sequence of str
        Columns that are equal when rounding alone tells them apart.
    """
    differences = ",\n".join(
        [
            f"case when a.{name} is distinct from b.{name} then '{name}' end"
            for name in EXACT_COLUMNS
        ]
        + [
            f"case when abs(a.{name} - b.{name}) > {ROUNDING} "
            f"* greatest(1, abs(b.{name})) then '{name}' end"
            for name in measures
        ]
    )
    key = ("symbol_id", *SERIES, "horizon_bars", "bar_number", "session_date")
    shared = ", ".join(
        f"coalesce(a.{name}, b.{name}) as {name}"
        for name in (*key, "closed_at")
    )
    return f"""
    with

    a as (
        select * from {examples_a}
        where
            cut_id = :cut_id_a
            and symbol_id = :symbol_id
            and timeframe = :timeframe
    ),

    b as (
        select * from {examples_b}
        where
            cut_id = :cut_id_b
            and symbol_id = :symbol_id
            and timeframe = :timeframe
    ),

    compared as (
        select
            {shared},
            a.bar_number is not null as is_in_a,
            b.bar_number is not null as is_in_b,
            a.split_part as split_part_a,
            b.split_part as split_part_b,
            a.label as label_a,
            b.label as label_b,
            a.label_return as label_return_a,
            b.label_return as label_return_b,
            case
                when
                    a.bar_number is not null and b.bar_number is not null
                    then concat_ws(', ', {differences})
                else ''
            end as changed_columns
        from a
        full outer join b
            on
                a.symbol_id = b.symbol_id
                and a.timeframe = b.timeframe
                and a.horizon = b.horizon
                and a.bar_number = b.bar_number
    )

    select
        case
            when not is_in_a then 'added'
            when not is_in_b then 'removed'
            when changed_columns <> '' then 'restated'
            when split_part_a <> split_part_b then 'moved'
            else 'unchanged'
        end as change,
        *
    from compared
    order by ticker, timeframe, horizon_bars, bar_number
    """


def _compare(
    warehouse: Warehouse, a: TrainingSet, b: TrainingSet
) -> TrainingSetDiff:
    """Compare two training sets that have been rebuilt."""
    with (
        warehouse.with_prefix(
            _prefix_of_load(warehouse, a.last_batch_id)
        ) as rebuilt_a,
        warehouse.with_prefix(
            _prefix_of_load(warehouse, b.last_batch_id)
        ) as rebuilt_b,
    ):
        is_exact_a = _is_exact(rebuilt_a, a)
        is_exact_b = _is_exact(rebuilt_b, b)
        query = _comparison_query(
            rebuilt_a.sql("{features}.training_examples"),
            rebuilt_b.sql("{features}.training_examples"),
            (*MEASURES, *read_feature_names(rebuilt_a)),
        )
    rows = read_frame(
        warehouse,
        query,
        {
            "cut_id_a": a.cut_id,
            "cut_id_b": b.cut_id,
            "symbol_id": a.symbol_id,
            "timeframe": a.timeframe,
        },
    )
    counted = rows.assign(
        rows_a=rows["is_in_a"].astype(int),
        rows_b=rows["is_in_b"].astype(int),
        **{name: (rows["change"] == name).astype(int) for name in CHANGES},
    )
    return TrainingSetDiff(
        a=a,
        b=b,
        is_exact_a=is_exact_a,
        is_exact_b=is_exact_b,
        series=counted.groupby([*SERIES, "horizon_bars"], as_index=False)[
            ["rows_a", "rows_b", *CHANGES]
        ]
        .sum()
        .sort_values("horizon_bars", ignore_index=True),
        rows=rows.loc[rows["change"] != "unchanged"].reset_index(drop=True),
    )


def _is_exact(rebuilt: Warehouse, version: TrainingSet) -> bool:
    """Whether the rebuilt rows are those of the training, to the last bit."""
    if not set(version.feature_names) <= set(read_feature_names(rebuilt)):
        return False
    series = Series(
        version.symbol_id, version.ticker, version.calendar, version.timeframe
    )
    examples = read_examples(
        rebuilt, version.cut_id, [series], version.feature_names
    )
    return (
        version.symbol_id in examples
        and examples[version.symbol_id].fingerprint()
        == version.data_fingerprint
    )
