"""What changed between the training sets of two ensemble versions.

The training set of a version is what its training read: the rows of its cut
and series in `features.training_examples`, made from every record that had
been loaded when the training began. Loads are numbered in commit order, so dbt
builds those tables again, in schemas of their own, from the records up to the
last load before the training (`last_batch_id`). That shows what the version
was really trained on, also when it was trained as of a past that had been
restated by then.

Whether the rebuilt rows are those of the training is not taken on trust: their
fingerprint is compared with the one on record.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy.schema import DropSchema

from python_ml.console.json_text import to_plain
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.console.text_tables import (
    to_records,
    to_text,
)
from python_ml.examples.catalog import read_feature_names
from python_ml.examples.reading import read_examples
from python_ml.examples.series import Series
from python_ml.exceptions import UnknownVersionError
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import SCHEMAS, Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.jobs import (
    code_version,
    job_run,
)

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
)
MAX_VERSIONS_NAMED = 5


@dataclass(frozen=True)
class TrainingSet:
    """The training set of one version, and how far it can be told.

    Parameters
    ----------
    version_id : str
    symbol_id : int
    ticker, calendar, timeframe : str
    cut_id : int
    as_of, window_starts_at : datetime
        Of the cut, UTC.
    trained_at : datetime
        When its training began, UTC.
    last_batch_id : int
        Last load before that.
    code_version : str
        Code that trained it.
    feature_names : tuple of str
        Features that it was trained on.
    data_fingerprint : str
        Of the rows that it was trained on.
    n_bars : int
        Loaded bars of its symbol in the window.
    n_bars_first_loaded_later : int
        Of these, bars first loaded after `as_of`. Such a backfill counts as
        known from its close on, which proves nothing about what was known.
    n_bars_restated_later : int
        Of these, bars with a value recorded after `as_of`: not known then.
    """

    version_id: str
    symbol_id: int
    ticker: str
    calendar: str
    timeframe: str
    cut_id: int
    as_of: datetime
    window_starts_at: datetime
    trained_at: datetime
    last_batch_id: int
    code_version: str
    feature_names: tuple[str, ...]
    data_fingerprint: str
    n_bars: int
    n_bars_first_loaded_later: int
    n_bars_restated_later: int

    def to_text(self, *, is_exact: bool) -> str:
        """Say which set it is and what cannot be told about it."""
        lines = [
            f"{self.version_id}: as of {self.as_of:%Y-%m-%d %H:%M}, cut "
            f"{self.cut_id}, trained {self.trained_at:%Y-%m-%d %H:%M} after "
            f"load {self.last_batch_id}."
        ]
        if not is_exact:
            lines.append(
                "  What it was trained on cannot be told exactly: its rows, "
                "rebuilt, differ from those on record. Either the code has "
                f"changed since ({self.code_version}, now {code_version()}), "
                "or its tables were built before the last load."
            )
        if self.n_bars_first_loaded_later:
            lines.append(
                f"  {self.n_bars_first_loaded_later} of the {self.n_bars} "
                "loaded bars in its window first came in after its as-of time: "
                "what was known of them then cannot be told."
            )
        if self.n_bars_restated_later:
            lines.append(
                f"  {self.n_bars_restated_later} of them hold a value that was "
                "recorded after its as-of time: not known then, but trained on."
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, times as ISO text."""
        plain: dict[str, Any] = to_plain(asdict(self))
        return plain


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
        _training_set(warehouse, version) for version in (version_a, version_b)
    )
    if (a.symbol_id, a.timeframe) != (b.symbol_id, b.timeframe):
        raise UnknownVersionError(
            f"{a.version_id} is of {a.ticker} {a.timeframe}, {b.version_id} of "
            f"{b.ticker} {b.timeframe}: name two versions of one series. "
            f"{_versions_of(warehouse, a)}"
        )
    arguments = {"version_a": version_a, "version_b": version_b}
    with job_run(warehouse, "diff-training-set", arguments) as job:
        before = _schemas_there(warehouse)
        made: set[str] = set()
        try:
            for batch_id in sorted({a.last_batch_id, b.last_batch_id}):
                made |= set(_schemas_after(warehouse, batch_id)) - before
                _rebuild(warehouse, batch_id)
            diff = _compare(warehouse, a, b)
        finally:
            _drop(warehouse, sorted(made))
        for name in CHANGES:
            job.counts[name] = int(diff.series[name].sum())
    return diff


def _training_set(warehouse: Warehouse, version_id: str) -> TrainingSet:
    found = read_frame(
        warehouse,
        """
        select
            ensembles.version_id,
            ensembles.symbol_id,
            symbols.ticker,
            symbols.calendar,
            ensembles.timeframe,
            ensembles.cut_id,
            ensembles.as_of,
            cuts.window_starts_at,
            coalesce(job_runs.started_at, trained.created_at) as trained_at,
            trained.code_version,
            ensembles.feature_names,
            ensembles.data_fingerprint,
            (
                select coalesce(max(batches.batch_id), 0)
                from {raw}.ingest_batches as batches
                where
                    batches.ingested_at
                    <= coalesce(job_runs.started_at, trained.created_at)
            ) as last_batch_id
        from {ml}.ensembles as ensembles
        inner join {raw}.symbols as symbols
            on ensembles.symbol_id = symbols.symbol_id
        inner join {ml}.training_cuts as cuts
            on ensembles.cut_id = cuts.cut_id
        -- New weights read no row: their members' training did.
        inner join {ml}.ensembles as trained
            on
                coalesce(ensembles.members_version_id, ensembles.version_id)
                = trained.version_id
        left join {ml}.job_runs as job_runs
            on trained.job_run_id = job_runs.job_run_id
        where ensembles.version_id = :version_id
        """,
        {"version_id": version_id},
    )
    if found.empty:
        raise UnknownVersionError(
            f"There is no version {version_id!r}. {_versions_of(warehouse)}"
        )
    row = {
        str(name): value for name, value in found.to_dict("records")[0].items()
    }
    bars = read_frame(
        warehouse,
        """
        select
            count(distinct (timeframe, opened_at)) as n_bars,
            count(distinct (timeframe, opened_at)) filter (
                where is_backfill and ingested_at > :as_of
            ) as n_bars_first_loaded_later,
            count(distinct (timeframe, opened_at)) filter (
                where not is_backfill and recorded_at > :as_of
            ) as n_bars_restated_later
        from {raw}.bars
        where
            symbol_id = :symbol_id
            and closed_at between :window_starts_at and :as_of
            and batch_id <= :last_batch_id
        """,
        row,
    )
    values: dict[str, Any] = {
        **row,
        **{str(name): int(bars[name].iloc[0]) for name in bars.columns},
        "feature_names": tuple(row["feature_names"]),
    }
    for name, value in values.items():
        if isinstance(value, pd.Timestamp):
            values[name] = value.to_pydatetime()
    return TrainingSet(**values)


def _versions_of(
    warehouse: Warehouse, series: TrainingSet | None = None
) -> str:
    """Sentence that names the latest versions, of a series or at all."""
    versions = read_frame(
        warehouse,
        """
        select version_id
        from {ml}.ensembles
        where
            (symbol_id = :symbol_id or cast(:symbol_id as integer) is null)
            and (timeframe = :timeframe or cast(:timeframe as text) is null)
        order by created_at desc
        limit :n_versions
        """,
        {
            "symbol_id": series and series.symbol_id,
            "timeframe": series and series.timeframe,
            "n_versions": MAX_VERSIONS_NAMED,
        },
    )["version_id"]
    if versions.empty:
        return "None is on record; train with: swiftbolt train --all"
    return f"The latest are {', '.join(versions)}."


def _after(warehouse: Warehouse, batch_id: int) -> Warehouse:
    """The warehouse as dbt builds it from the loads up to one."""
    settings = warehouse.settings
    return replace(
        warehouse,
        settings=replace(
            settings, schema_prefix=f"{settings.schema_prefix}batch_{batch_id}_"
        ),
    )


def _schemas_after(warehouse: Warehouse, batch_id: int) -> list[str]:
    settings = _after(warehouse, batch_id).settings
    return [settings.schema(name) for name in SCHEMAS[2:]]


def _schemas_there(warehouse: Warehouse) -> set[str]:
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


def _compare(
    warehouse: Warehouse, a: TrainingSet, b: TrainingSet
) -> TrainingSetDiff:
    there_a, there_b = (_after(warehouse, one.last_batch_id) for one in (a, b))
    measures = (*MEASURES, *read_feature_names(there_a))
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
    rows = read_frame(
        warehouse,
        f"""
        with

        a as (
            select * from {there_a.sql("{features}")}.training_examples
            where
                cut_id = :cut_id_a
                and symbol_id = :symbol_id
                and timeframe = :timeframe
        ),

        b as (
            select * from {there_b.sql("{features}")}.training_examples
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
        """,
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
        is_exact_a=_is_exact(there_a, a),
        is_exact_b=_is_exact(there_b, b),
        series=counted.groupby([*SERIES, "horizon_bars"], as_index=False)[
            ["rows_a", "rows_b", *CHANGES]
        ]
        .sum()
        .sort_values("horizon_bars", ignore_index=True),
        rows=rows.loc[rows["change"] != "unchanged"].reset_index(drop=True),
    )


def _is_exact(there: Warehouse, one: TrainingSet) -> bool:
    """Whether the rebuilt rows are those of the training, to the last bit."""
    if not set(one.feature_names) <= set(read_feature_names(there)):
        return False
    series = Series(one.symbol_id, one.ticker, one.calendar, one.timeframe)
    examples = read_examples(there, one.cut_id, [series], one.feature_names)
    return (
        one.symbol_id in examples
        and examples[one.symbol_id].fingerprint() == one.data_fingerprint
    )
