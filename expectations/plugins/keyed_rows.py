"""The base of our own expectations: a query whose every row is a violation."""

import re
from typing import Any, ClassVar

from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.result_format import ResultFormat
from great_expectations.execution_engine.execution_engine import (
    ExecutionEngine,
)
from great_expectations.execution_engine.sqlalchemy_execution_engine import (
    SqlAlchemyExecutionEngine,
)
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import (
    MetricProvider,
    metric_value,
)
from great_expectations.validator.metric_configuration import (
    MetricConfiguration,
)
from great_expectations.validator.validator import ValidationDependencies
from sqlalchemy import text

from python_ml.warehouse.connection import SCHEMAS

N_SAMPLES = 20


def with_schema_prefix(query: str, prefix: str) -> str:
    """Put `prefix` before the schema of every table that `query` names.

    Examples
    --------
    >>> with_schema_prefix("select 1 from raw.bars as bars", "test_")
    'select 1 from test_raw.bars as bars'
    """
    return re.sub(rf"(?<![\w.])({'|'.join(SCHEMAS)})\.", rf"{prefix}\1.", query)


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
    `n_unexpected`, which is counted only when `is_counted`.
    """

    metric_name = "keyed_rows.violations"
    domain_keys = ("batch_id",)
    value_keys = ("query", "schema_prefix", "n_samples", "is_counted")

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
        query = fill(
            with_schema_prefix(
                metric_value_kwargs["query"],
                metric_value_kwargs["schema_prefix"],
            ),
            {"batch": batch},
        )
        return read_violations(
            execution_engine,
            query,
            n_samples=metric_value_kwargs["n_samples"],
            is_counted=metric_value_kwargs["is_counted"],
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
    is_counted: bool,
) -> dict[str, Any]:
    """Run `query` once, reading at most `n_samples` of its rows."""
    n_unexpected = ", count(*) over () as n_unexpected" if is_counted else ""
    cursor = execution_engine.execute_query(
        text(
            f"select violations.*{n_unexpected} from ({query}) as violations "
            f"limit {n_samples:d}"
        )
    )
    rows = [dict(row._mapping) for row in cursor.fetchall()]
    counts = [row.pop("n_unexpected") for row in rows if is_counted]
    return {"rows": rows, "n_unexpected": counts[0] if counts else len(rows)}


class KeyedRowsExpectation(BatchExpectation):
    """Passes when `query` returns no row; its rows are the violations' keys.

    The query is plain SQL over the warehouse's schemas. `{batch}` stands for
    the judged rows and must be given an alias, `{name}` for the number or the
    list of columns in that field, `{cuts}` for the judged rows of
    `ml.training_cuts`. Asked for a
    verdict only, the database may stop at the first row; asked for samples,
    one run returns both rows and their number.

    Parameters
    ----------
    schema_prefix : str, default=""
        Put before every schema name; set by the gate.
    cut_ids : list of int, optional
        Cuts that are judged; set by the gate. By default all.
    """

    query: ClassVar[str]
    metric_name: ClassVar[str] = "keyed_rows.violations"
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)
    success_keys: ClassVar[tuple[str, ...]] = ("schema_prefix", "cut_ids")

    schema_prefix: str = ""
    cut_ids: list[int] | None = None

    def filled_query(self) -> str:
        """Query with everything filled in except the batch and prefix."""
        cuts = "ml.training_cuts"
        if self.cut_ids is not None:
            chosen = ", ".join(f"{cut_id:d}" for cut_id in self.cut_ids)
            cuts = f"(select * from {cuts} where cut_id in ({chosen}))"
        values = {"cuts": cuts}
        for key in self.success_keys:
            value = getattr(self, key)
            if isinstance(value, int | float):
                values[key] = repr(value)
            elif isinstance(value, list):
                values[key] = ", ".join(map(str, value))
        return fill(self.query, values)

    def get_validation_dependencies(
        self,
        execution_engine: ExecutionEngine[Any] | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> ValidationDependencies:
        """Name the one metric that is needed."""
        dependencies = super().get_validation_dependencies(
            execution_engine, runtime_configuration
        )
        is_counted = (
            dependencies.result_format["result_format"]
            != ResultFormat.BOOLEAN_ONLY
        )
        dependencies.set_metric_configuration(
            metric_name=self.metric_name,
            metric_configuration=MetricConfiguration(
                metric_name=self.metric_name,
                metric_domain_kwargs={"batch_id": self.batch_id},
                metric_value_kwargs={
                    "query": self.filled_query(),
                    "schema_prefix": self.schema_prefix,
                    "n_samples": N_SAMPLES if is_counted else 1,
                    "is_counted": is_counted,
                },
            ),
        )
        return dependencies

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        violations = metrics[self.metric_name]
        return {
            "success": not violations["rows"],
            "result": {
                "observed_value": violations["n_unexpected"],
                "unexpected_count": violations["n_unexpected"],
                "partial_unexpected_list": violations["rows"],
            },
        }
