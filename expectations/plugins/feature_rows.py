"""Expectations of `features.feature_rows` and of every set of feature rows."""

from collections.abc import Sequence
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
    WHOLE_BATCH,
    KeyedRowsExpectation,
    RowConditionExpectation,
    read_violations,
    with_schemas,
)
from expectations.summary import N_SAMPLES

CATALOG = "features.feature_catalog"


def is_finite(expression: str) -> str:
    """SQL that is true for a finite number, false or NULL for all else.

    Examples
    --------
    >>> print(is_finite("return_1"))
    return_1 > '-Infinity' and return_1 < 'Infinity'
    """
    return f"{expression} > '-Infinity' and {expression} < 'Infinity'"


def sum_of(features: Sequence[str]) -> str:
    """SQL of the features' sum, finite only if all of them are.

    Examples
    --------
    >>> print(sum_of(["return_1", "rsi_14"]))
    "return_1" + "rsi_14"
    """
    return " + ".join(map(quote, features)) or "cast(null as float)"


def quote(name: str) -> str:
    """Name as an SQL identifier."""
    return '"{}"'.format(name.replace('"', '""'))


class MissingFeaturesMetric(MetricProvider):
    """Features of `features.feature_catalog` that are no column of a dataset.

    The catalogue decides what is checked, so no feature can be left out of a
    suite, and an empty catalogue is a violation too.
    """

    metric_name = "keyed_rows.missing_features"
    domain_keys = ("batch_id", *WHOLE_BATCH)
    value_keys = ("dataset", "catalog")

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, Any]:
        features, columns = read_features(
            execution_engine,
            metric_value_kwargs["dataset"],
            metric_value_kwargs["catalog"],
        )
        problems: list[dict[str, str | None]] = [
            {"feature": feature, "problem": "has no column"}
            for feature in features
            if feature not in columns
        ]
        if not features:
            problems = [{"feature": None, "problem": "the catalog is empty"}]
        return {"rows": problems, "n_unexpected": len(problems)}


def read_features(
    execution_engine: SqlAlchemyExecutionEngine, dataset: str, catalog: str
) -> tuple[list[str], set[str]]:
    """Features of the catalogue in order, and the columns of a dataset."""
    cursor = execution_engine.execute_query(
        text(f"select feature from {catalog} order by sort_order")
    )
    features = [row.feature for row in cursor]
    columns = execution_engine.execute_query(
        text(f"select * from {dataset} limit 0")
    ).keys()
    return features, set(columns)


class UnusableFeaturesMetric(MetricProvider):
    """Rows of a dataset with a feature that is not finite, by its name."""

    metric_name = "keyed_rows.unusable_features"
    domain_keys = ("batch_id", *WHOLE_BATCH)
    value_keys = ("dataset", "keys", "catalog", "n_samples")

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> dict[str, Any]:
        dataset = metric_value_kwargs["dataset"]
        features, columns = read_features(
            execution_engine, dataset, metric_value_kwargs["catalog"]
        )
        tests = {
            feature: is_finite(quote(feature))
            for feature in features
            if feature in columns
        }
        if not tests:
            return {"rows": [], "n_unexpected": 0}
        names = ", ".join(
            f"case when ({test}) is not true then '{feature}' end"
            for feature, test in tests.items()
        )
        return read_violations(
            execution_engine,
            f"select {metric_value_kwargs['keys']}, "
            f"concat_ws(', ', {names}) as features "
            f"from (select * from {dataset}) as row_set "
            f"where ({' and '.join(tests.values())}) is not true",
            n_samples=metric_value_kwargs["n_samples"],
        )


class ExpectFeaturesToBeFinite(RowConditionExpectation):
    """No feature of the catalogue is NULL, NaN or infinite in any row.

    Counted by the sum of all features, `sum_of_features`, which each of these
    spoils: one addition a feature. Not-null lets NaN and infinity pass, and a
    check for each column costs a pass each.
    """

    condition: ClassVar[str] = is_finite("sum_of_features")

    def metrics_for(
        self, *, keys: list[str] | None
    ) -> dict[str, dict[str, Any]]:
        """Add what the catalogue says; name the features of broken rows."""
        scope = {
            "dataset": self.dataset,
            "catalog": with_schemas(CATALOG, self.schemas),
        }
        missing = {MissingFeaturesMetric.metric_name: scope}
        if keys is None:
            return missing | super().metrics_for(keys=None)
        unusable = {
            "keys": ", ".join(keys),
            "n_samples": N_SAMPLES,
            **scope,
        }
        return missing | {UnusableFeaturesMetric.metric_name: unusable}


class ExpectRowsToUseNoLaterBar(RowConditionExpectation):
    """No row declares a bar that closed after the row's own bar.

    The bar of the row's own timeframe is a declaration, and the higher one is
    the bar that was joined.
    """

    condition: ClassVar[str] = """
        last_bar_closed_at <= closed_at
        and (
            higher_bar_closed_at is null or higher_bar_closed_at <= closed_at
        )
    """
    shown: ClassVar[tuple[str, ...]] = (
        "closed_at",
        "last_bar_closed_at",
        "higher_bar_closed_at",
    )


class ExpectLongSeriesToBeUsable(KeyedRowsExpectation):
    """Every series with bars for a whole training window has usable rows.

    The window's length is `window_bars` of `features.timeframes`. A shorter
    series may still be warming up. Of each series only the first rows are
    looked up, by the key.

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
            select symbol_id, timeframe, count(*) as n_bars
            from features.bars
            group by symbol_id, timeframe
        ),
        long_series as (
            select series.*
            from series
            left join features.timeframes as timeframes
                on series.timeframe = timeframes.timeframe
            where series.n_bars >= coalesce(timeframes.window_bars, 0)
        )
        select
            long_series.symbol_id,
            symbols.ticker,
            long_series.timeframe,
            long_series.n_bars,
            usable.n_rows as n_usable_rows
        from long_series
        left join raw.symbols as symbols
            on long_series.symbol_id = symbols.symbol_id
        cross join lateral (
            select count(*) as n_rows
            from (
                select feature_rows.symbol_id
                from {batch} as feature_rows
                where
                    feature_rows.symbol_id = long_series.symbol_id
                    and feature_rows.timeframe = long_series.timeframe
                limit {min_usable_rows}
            ) as first_rows
        ) as usable
        where usable.n_rows < {min_usable_rows}
    """

    min_usable_rows: int = 1
