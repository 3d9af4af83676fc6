"""One row for each key."""

from typing import Any, ClassVar

from great_expectations.execution_engine.sqlalchemy_execution_engine import (
    SqlAlchemyExecutionEngine,
)
from great_expectations.expectations.metrics.metric_provider import (
    MetricProvider,
    metric_value,
)
from sqlalchemy import text

from expectations.plugins.keyed_rows import (
    SCOPE,
    WHOLE_BATCH,
    KeyedRowsExpectation,
    batch_as_sql,
    fill,
    read_violations,
)

UNIQUE_INDEXES = """
    select array_agg(cast(pg_attribute.attname as text)) as column_names
    from pg_index
    inner join pg_attribute
        on
            pg_index.indrelid = pg_attribute.attrelid
            and pg_attribute.attnum = any(pg_index.indkey)
    where
        pg_index.indrelid = to_regclass(:table_name)
        and pg_index.indisunique
        and pg_index.indisvalid
        and pg_index.indimmediate
        and pg_index.indpred is null
        and pg_index.indexprs is null
    group by pg_index.indexrelid
    having bool_and(pg_attribute.attnotnull)
"""


class RepeatedKeysMetric(MetricProvider):
    """Keys that more than one row of the batch has.

    Not looked for where the server itself refuses a second row: in a table
    with a valid unique index, without NULLs, on columns of the key alone.
    """

    metric_name = "keyed_rows.repeated_keys"
    domain_keys = ("batch_id", *WHOLE_BATCH)
    value_keys = ("query", "columns", "dataset", "n_samples")

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, Any]:
        table_name = metric_value_kwargs["dataset"].partition(" ")[0]
        unique = execution_engine.execute_query(
            text(UNIQUE_INDEXES).bindparams(table_name=table_name)
        )
        key = set(metric_value_kwargs["columns"])
        if any(key.issuperset(row.column_names) for row in unique):
            return {"rows": [], "n_unexpected": 0}
        batch = batch_as_sql(execution_engine, metric_domain_kwargs)
        return read_violations(
            execution_engine,
            fill(metric_value_kwargs["query"], {"batch": batch}),
            n_samples=metric_value_kwargs["n_samples"],
        )


class ExpectGrainToBeUnique(KeyedRowsExpectation):
    """No two rows have the same key.

    Great Expectations' own check of compound columns sorts whole rows.

    Parameters
    ----------
    columns : list of str
        The key.
    """

    success_keys: ClassVar[tuple[str, ...]] = (*SCOPE, "columns")
    query: ClassVar[str] = """
        select {columns}, count(*) as n_rows
        from {batch} as row_set
        group by {columns}
        having count(*) > 1
    """

    columns: list[str]

    def metrics_for(
        self, *, keys: list[str] | None
    ) -> dict[str, dict[str, Any]]:
        """Look for an index first."""
        (arguments,) = super().metrics_for(keys=keys).values()
        return {
            RepeatedKeysMetric.metric_name: {
                "query": arguments["query"],
                "n_samples": arguments["n_samples"],
                "columns": self.columns,
                "dataset": self.dataset,
            }
        }
