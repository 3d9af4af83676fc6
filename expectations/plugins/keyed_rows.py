"""The bases of our own expectations: a condition on rows, or a query.

A suite is judged in two steps. First only violations are counted: all
conditions on a table in one scan of it, each query as an aggregate. Only what
failed is asked again, for the keys of some of its rows.
"""

import html
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from great_expectations.core import ExpectationValidationResult
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import (
    MetricPartialFunctionTypes,
)
from great_expectations.core.result_format import ResultFormat
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.execution_engine.sqlalchemy_execution_engine import (
    SqlAlchemyExecutionEngine,
)
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.expectation_configuration import (
    ExpectationConfiguration,
)
from great_expectations.expectations.metrics.metric_provider import (
    MetricProvider,
    metric_partial,
    metric_value,
)
from great_expectations.render.components import (
    LegacyDiagnosticRendererType,
    RenderedStringTemplateContent,
    RenderedTableContent,
)
from great_expectations.render.renderer.renderer import renderer
from great_expectations.validator.metric_configuration import (
    MetricConfiguration,
)
from great_expectations.validator.validator import ValidationDependencies
from sqlalchemy import func, text

from expectations.summary import N_SAMPLES

# Temporary table of how many examples each series and part has.
COUNTS = "judged_counts"
# The whole batch, spelt as Great Expectations spells it for a row count: what
# has the same domain is counted by the same query.
WHOLE_BATCH = {"table": None, "row_condition": None, "condition_parser": None}
# Fields that the gate sets; no suite gives them.
SCOPE = ("schemas", "cut_ids", "dataset")


def with_schemas(query: str, schemas: Mapping[str, str] | None) -> str:
    """Give the schema of every table that `query` names its full name.

    Examples
    --------
    >>> schemas = {"raw": "test_raw", "ml": "test_ml"}
    >>> with_schemas("select 1 from raw.bars as bars", schemas)
    'select 1 from test_raw.bars as bars'
    """
    if not schemas:
        return query
    return re.sub(
        rf"(?<![\w.])({'|'.join(schemas)})\.",
        lambda match: f"{schemas[match[1]]}.",
        query,
    )


def fill(query: str, values: dict[str, str]) -> str:
    """Replace each `{name}` of `values` in `query`; other braces stay.

    Examples
    --------
    >>> fill("select 1 from {batch} as row_set", {"batch": "features.bars"})
    'select 1 from features.bars as row_set'
    """
    for name, value in values.items():
        query = query.replace(f"{{{name}}}", value)
    return query


class KeyedRowsMetric(MetricProvider):
    """Rows that a query returns, and how many there are.

    The value is a dict with `rows`, at most `n_samples` of them, and
    `n_unexpected`, the number of all.
    """

    metric_name = "keyed_rows.violations"
    domain_keys = ("batch_id", *WHOLE_BATCH)
    value_keys = ("query", "n_samples")

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, Any]:
        batch = batch_as_sql(execution_engine, metric_domain_kwargs)
        return read_violations(
            execution_engine,
            fill(metric_value_kwargs["query"], {"batch": batch}),
            n_samples=metric_value_kwargs["n_samples"],
        )


def batch_as_sql(
    execution_engine: SqlAlchemyExecutionEngine,
    metric_domain_kwargs: dict[str, Any],
) -> str:
    """SQL of the batch, in brackets, to stand after `from`."""
    selectable, _, _ = execution_engine.get_compute_domain(
        metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE
    )
    compiled = selectable.compile(
        dialect=execution_engine.engine.dialect,
        compile_kwargs={"literal_binds": True},
    )
    return f"({compiled})"


def read_violations(
    execution_engine: SqlAlchemyExecutionEngine,
    query: str,
    *,
    n_samples: int,
) -> dict[str, Any]:
    """Run `query` once, reading at most `n_samples` of its rows, the first.

    Without samples the rows are counted and none is read. Never ask for the
    first row alone: `limit 1` lures the planner into plans that are quick to
    begin and take minutes to find that there is nothing.
    """
    if n_samples == 0:
        counted = execution_engine.execute_query(
            text(f"select count(*) from ({query}) as violations")
        )
        return {"rows": [], "n_unexpected": counted.scalar_one()}
    cursor = execution_engine.execute_query(
        text(
            "select violations.*, count(*) over () as n_unexpected "
            f"from ({query}) as violations "
            f"order by violations limit {n_samples:d}"
        )
    )
    rows = [dict(row._mapping) for row in cursor.fetchall()]
    counts = [row.pop("n_unexpected") for row in rows]
    return {"rows": rows, "n_unexpected": counts[0] if counts else 0}


class BrokenRowsMetric(MetricProvider):
    """How many rows of the batch break a condition.

    An aggregate, so Great Expectations counts for all conditions of a suite in
    one query. NULL, neither true nor false, breaks a condition.
    """

    metric_name = "keyed_rows.broken_rows"
    domain_keys = ("batch_id", *WHOLE_BATCH)
    value_keys = ("condition",)

    @metric_partial(
        engine=SqlAlchemyExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        is_broken = text(f"({metric_value_kwargs['condition']}) is not true")
        return func.count().filter(is_broken), metric_domain_kwargs, {}


class KeyedRowsExpectation(BatchExpectation):
    """Passes when `query` returns no row; its rows are the violations' keys.

    The query is plain SQL over the warehouse's schemas. `{batch}` stands for
    the judged rows and must be given an alias, `{dataset}` for the table and
    condition that they come from, `{cuts}` for the judged rows of
    `ml.training_cuts`, `{counts}` for how many examples they have, `{name}`
    for the number or the list of columns in that field.

    Parameters
    ----------
    schemas : dict of str to str, optional
        Full name of each schema; set by the gate.
    cut_ids : list of int, optional
        Cuts that are judged; set by the gate. By default all.
    dataset : str, default=""
        Set by the gate.
    """

    query: ClassVar[str]
    metric_name: ClassVar[str] = "keyed_rows.violations"
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)
    success_keys: ClassVar[tuple[str, ...]] = SCOPE

    schemas: dict[str, str] | None = None
    cut_ids: list[int] | None = None
    dataset: str = ""

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Let pages show the class's first line, not a list of arguments."""
        super().__init_subclass__(**keywords)
        if cls.__doc__:
            cls.__fields__["description"].default = cls.__doc__.split("\n")[0]

    def filled(self, query: str) -> str:
        """Query with everything filled in except the batch."""
        cuts = "ml.training_cuts"
        if self.cut_ids is not None:
            chosen = ", ".join(f"{cut_id:d}" for cut_id in self.cut_ids)
            cuts = f"(select * from {cuts} where cut_id in ({chosen}))"
        values = {
            "cuts": cuts,
            "counts": COUNTS,
            "dataset": self.dataset,
        }
        for key in self.success_keys:
            value = getattr(self, key)
            if isinstance(value, int | float):
                values[key] = repr(value)
            elif isinstance(value, list):
                values[key] = ", ".join(map(str, value))
        return with_schemas(fill(query, values), self.schemas)

    def violations(self) -> str:
        """SQL of every violation, with all filled in except the batch."""
        return self.filled(self.query)

    def metrics_for(
        self, *, keys: list[str] | None
    ) -> dict[str, dict[str, Any]]:
        """Arguments of the needed metrics, by name.

        Parameters
        ----------
        keys : list of str or None
            Columns that identify a row; None when only a number is wanted.
        """
        return {
            self.metric_name: {
                "query": self.filled(self.query),
                "n_samples": 0 if keys is None else N_SAMPLES,
            }
        }

    def get_validation_dependencies(
        self,
        execution_engine: ExecutionEngine[Any] | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> ValidationDependencies:
        """Name the metrics that are needed."""
        dependencies = super().get_validation_dependencies(
            execution_engine, runtime_configuration
        )
        result_format = dependencies.result_format
        keys = (
            result_format.get("unexpected_index_column_names", [])
            if result_format["result_format"] == ResultFormat.SUMMARY
            else None
        )
        for name, arguments in self.metrics_for(keys=keys).items():
            dependencies.set_metric_configuration(
                metric_name=name,
                metric_configuration=MetricConfiguration(
                    metric_name=name,
                    metric_domain_kwargs={
                        "batch_id": self.batch_id,
                        **WHOLE_BATCH,
                    },
                    metric_value_kwargs=arguments,
                ),
            )
        return dependencies

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        n_unexpected = 0
        rows: list[dict[str, Any]] = []
        for found in metrics.values():
            if isinstance(found, int):
                n_unexpected += found
            else:
                n_unexpected += found["n_unexpected"]
                rows += found["rows"]
        return {
            "success": n_unexpected == 0,
            "result": {
                "observed_value": n_unexpected,
                "unexpected_count": n_unexpected,
                "partial_unexpected_list": rows,
            },
        }

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_STATEMENT)
    def _diagnostic_unexpected_statement_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> list[Any]:
        """Say on the page how many violations there are."""
        if result is None or not result.result.get("unexpected_count"):
            return super()._diagnostic_unexpected_statement_renderer(
                configuration, result, runtime_configuration
            )
        return [
            RenderedStringTemplateContent(
                content_block_type="string_template",
                string_template={
                    "template": "\n\n$n_unexpected violations found.",
                    "params": {
                        "n_unexpected": result.result["unexpected_count"]
                    },
                    "tag": "strong",
                    "styling": {"classes": ["text-danger"]},
                },
            )
        ]

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_TABLE)
    def _diagnostic_unexpected_table_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> list[Any] | None:
        """Show the keys of violations on the page, one in each row."""
        rows = result and result.result.get("partial_unexpected_list")
        if not rows:
            return None
        columns = list(dict.fromkeys(key for row in rows for key in row))
        return [
            RenderedTableContent(
                content_block_type="table",
                table=[
                    # The page takes them for HTML.
                    [
                        html.escape(str(row.get(column, "")))
                        for column in columns
                    ]
                    for row in rows
                ],
                header_row=columns,
                styling={"body": {"classes": ["table-sm", "mt-3"]}},
            )
        ]


class RowConditionExpectation(KeyedRowsExpectation):
    """Passes when `condition` is true for every row of the batch.

    The condition is SQL over the columns of the suite's query in
    great_expectations.yml, which joins whatever the rows are compared with.
    Violations are the rows with NULL or false; their keys are the suite's.
    """

    condition: ClassVar[str]
    # Columns shown beside the keys of a broken row.
    shown: ClassVar[tuple[str, ...]] = ()

    def violations(self) -> str:
        """Every row that breaks the condition."""
        return (
            "select * from {batch} as row_set "
            f"where ({self.filled(self.condition)}) is not true"
        )

    def metrics_for(
        self, *, keys: list[str] | None
    ) -> dict[str, dict[str, Any]]:
        """Count within the suite's scan, or read keys on its own."""
        condition = self.filled(self.condition)
        if keys is None:
            return {BrokenRowsMetric.metric_name: {"condition": condition}}
        columns = ", ".join((*keys, *self.shown))
        return {
            KeyedRowsMetric.metric_name: {
                "query": f"select {columns} from {{batch}} as row_set "
                f"where ({condition}) is not true",
                "n_samples": N_SAMPLES,
            }
        }
