"""The rows that a suite judges: which they are, and the batch made of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from great_expectations.core import ExpectationSuite
from great_expectations.data_context.data_context.file_data_context import (
    FileDataContext,
)
from great_expectations.datasource.fluent.interfaces import Batch
from great_expectations.datasource.fluent.sql_datasource import QueryAsset

from expectations.checks import CheckFailed, one_line
from expectations.context import DATASOURCE
from expectations.plugins.example_counts import COUNT
from expectations.plugins.feature_rows import (
    CATALOG,
    read_features,
    sum_of,
)
from expectations.plugins.keyed_rows import (
    COUNTS,
    KeyedRowsExpectation,
    fill,
    with_schemas,
)
from expectations.series import POPULATION, SeriesKey

# Judged for chosen cuts; until the first training there are none.
CUT_SUITE = "training_examples"
JUDGED_EXAMPLES = "judged_examples"


@dataclass(frozen=True, slots=True)
class Scope:
    """What the suites judge.

    Parameters
    ----------
    schemas : mapping of str to str
        Full name of each schema that a query may name.
    cut_ids : tuple of int
        Cuts of `ml.training_cuts` whose examples are judged.
    explain : callable
        Says in a line what an error means.
    """

    schemas: Mapping[str, str]
    cut_ids: tuple[int, ...]
    explain: Callable[[Exception], str] = one_line


def name_dataset(suite: ExpectationSuite, scope: Scope) -> str:
    """Table and condition of the rows that a suite judges, as SQL."""
    dataset = with_schemas(
        str(suite.meta.get("dataset", suite.name)), scope.schemas
    )
    if suite.name == CUT_SUITE and scope.cut_ids:
        dataset += f" where cut_id in ({', '.join(map(str, scope.cut_ids))})"
    return dataset


def set_scope(suite: ExpectationSuite, scope: Scope, dataset: str) -> None:
    """Tell the suite's own expectations what they judge."""
    for expectation in suite.expectations:
        if isinstance(expectation, KeyedRowsExpectation):
            expectation.schemas = dict(scope.schemas)
            expectation.cut_ids = list(scope.cut_ids)
            expectation.dataset = dataset


def open_batch(
    context: FileDataContext, name: str, *, dataset: str, scope: Scope
) -> Batch:
    """Open the rows that a suite judges.

    Raises
    ------
    CheckFailed
        If the context has no query for them or the query cannot be run.
    """
    try:
        asset = context.data_sources.get(DATASOURCE).get_asset(name)
        if not isinstance(asset, QueryAsset):
            raise TypeError(f"asset {name} is of type {asset.type}, not query")
    except Exception as error:
        raise CheckFailed(
            "dataset_is_known",
            f"great_expectations.yml has no query {name} in {DATASOURCE} "
            f"({one_line(error)}); restore it with: "
            "git checkout -- expectations",
        ) from error
    try:
        engine: Any = asset.datasource.get_execution_engine()
        query = with_schemas(asset.query, scope.schemas)
        if "{sum_of_features}" in query:
            features, columns = read_features(
                engine, dataset, with_schemas(CATALOG, scope.schemas)
            )
            known = [feature for feature in features if feature in columns]
            query = fill(query, {"sum_of_features": sum_of(known)})
        if name == CUT_SUITE:
            query = _keep_examples(engine, query, dataset)
        # In memory only: the file keeps what it says.
        asset.query = query
        return asset.get_batch(asset.build_batch_request())
    except Exception as error:
        raise CheckFailed(
            "dataset_can_be_read", scope.explain(error)
        ) from error


def _keep_examples(engine: Any, query: str, dataset: str) -> str:
    """Keep the examples and their counts in temporary tables; return a query.

    The engine's pool hands out the one connection it has, so that all of its
    queries see the tables.
    """
    query = fill(query, {"dataset": f"(select * from {dataset})"})
    count = fill(COUNT, {"examples": JUDGED_EXAMPLES})
    for statement in (
        f"create temporary table {JUDGED_EXAMPLES} as {query}",
        f"create temporary table {COUNTS} as {count}",
    ):
        engine.execute_query_in_transaction(sa.text(statement))
    return f"select * from {JUDGED_EXAMPLES}"


def count_rows(context: FileDataContext, dataset: str, scope: Scope) -> int:
    """Count the rows of a dataset.

    Raises
    ------
    CheckFailed
        If it cannot be read.
    """
    try:
        source: Any = context.data_sources.get(DATASOURCE)
        counted = source.get_execution_engine().execute_query(
            sa.text(f"select count(*) from {dataset}")
        )
        return int(counted.scalar_one())
    except Exception as error:
        raise CheckFailed(
            "dataset_can_be_read", scope.explain(error)
        ) from error


def read_calendars(
    context: FileDataContext, scope: Scope
) -> dict[SeriesKey, str]:
    """Calendar of every series there is, by symbol and timeframe.

    Raises
    ------
    CheckFailed
        If `features.bars` cannot be read.
    """
    try:
        source: Any = context.data_sources.get(DATASOURCE)
        rows = source.get_execution_engine().execute_query(
            sa.text(with_schemas(POPULATION, scope.schemas))
        )
        return {(row.symbol_id, row.timeframe): row.calendar for row in rows}
    except Exception as error:
        raise CheckFailed(
            "dataset_can_be_read", scope.explain(error)
        ) from error
