"""Expectations of `features.feature_rows` and of every set of feature rows."""

from typing import Any, ClassVar

from great_expectations.execution_engine.sqlalchemy_execution_engine import (
    SqlAlchemyExecutionEngine,
)
from great_expectations.expectations.metrics.metric_provider import (
    metric_value,
)
from sqlalchemy import text

from expectations.plugins.keyed_rows import (
    KeyedRowsExpectation,
    KeyedRowsMetric,
    batch_as_sql,
    fill,
    read_violations,
    with_schema_prefix,
)


def is_finite(column: str) -> str:
    """SQL that is true for a finite number, false or NULL for all else.

    Examples
    --------
    >>> print(is_finite("return_1"))
    "return_1" > '-Infinity' and "return_1" < 'Infinity'
    """
    return f"\"{column}\" > '-Infinity' and \"{column}\" < 'Infinity'"


class UnusableFeaturesMetric(KeyedRowsMetric):
    """Rows with a feature of `features.feature_catalog` that is not finite.

    The catalogue decides what is checked, so no feature can be left out of a
    suite: one that has no column in the batch is a violation itself.
    """

    metric_name = "keyed_rows.unusable_features"

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
        prefix = metric_value_kwargs["schema_prefix"]
        catalog = with_schema_prefix(
            "select feature from features.feature_catalog order by sort_order",
            prefix,
        )
        features = [
            row.feature for row in execution_engine.execute_query(text(catalog))
        ]
        columns = execution_engine.execute_query(
            text(f"select * from {batch} as row_set limit 0")
        ).keys()
        problems = [
            {"feature": feature, "problem": "has no column"}
            for feature in features
            if feature not in columns
        ]
        if not features:
            problems = [{"feature": None, "problem": "the catalog is empty"}]
        if problems:
            return {"rows": problems, "n_unexpected": len(problems)}
        query = fill(
            with_schema_prefix(metric_value_kwargs["query"], prefix),
            {
                "batch": batch,
                "all_are_finite": " and ".join(map(is_finite, features)),
                "names_of_others": ", ".join(
                    f"case when ({is_finite(feature)}) is not true "
                    f"then '{feature}' end"
                    for feature in features
                ),
            },
        )
        return read_violations(
            execution_engine,
            query,
            n_samples=metric_value_kwargs["n_samples"],
            is_counted=metric_value_kwargs["is_counted"],
        )


class ExpectFeaturesToBeFinite(KeyedRowsExpectation):
    """No feature of the catalogue is NULL, NaN or infinite in any row.

    One pass over the table for all features, since not-null lets NaN and
    infinity pass and a check for each column costs a pass each.
    """

    metric_name: ClassVar[str] = "keyed_rows.unusable_features"
    query: ClassVar[str] = """
        select
            symbol_id,
            ticker,
            timeframe,
            bar_number,
            concat_ws(', ', {names_of_others}) as features
        from {batch} as feature_rows
        where ({all_are_finite}) is not true
    """


class ExpectRowsToUseNoLaterBar(KeyedRowsExpectation):
    """No bar that went into a row closed after the row's own bar."""

    query: ClassVar[str] = """
        select symbol_id, ticker, timeframe, bar_number
        from {batch} as feature_rows
        where (
            last_bar_closed_at <= closed_at
            and (
                higher_bar_closed_at is null
                or higher_bar_closed_at <= closed_at
            )
        ) is not true
    """


class ExpectLongSeriesToBeUsable(KeyedRowsExpectation):
    """Every series with bars for a whole training window has usable rows.

    The window's length is `window_bars` of `features.timeframes`. A shorter
    series may still be warming up.

    Parameters
    ----------
    min_usable_rows : int, default=1
    """

    success_keys: ClassVar[tuple[str, ...]] = (
        *KeyedRowsExpectation.success_keys,
        "min_usable_rows",
    )
    query: ClassVar[str] = """
        with series as (
            select symbol_id, ticker, timeframe, count(*) as n_bars
            from features.bars
            group by symbol_id, ticker, timeframe
        ),
        usable as (
            select symbol_id, timeframe, count(*) as n_usable_rows
            from {batch} as feature_rows
            group by symbol_id, timeframe
        )
        select
            series.symbol_id,
            series.ticker,
            series.timeframe,
            series.n_bars,
            coalesce(usable.n_usable_rows, 0) as n_usable_rows
        from series
        left join features.timeframes as timeframes
            on series.timeframe = timeframes.timeframe
        left join usable
            on
                series.symbol_id = usable.symbol_id
                and series.timeframe = usable.timeframe
        where
            series.n_bars >= coalesce(timeframes.window_bars, 0)
            and coalesce(usable.n_usable_rows, 0) < {min_usable_rows}
    """

    min_usable_rows: int = 1
