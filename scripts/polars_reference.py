"""The pipeline outside the warehouse that the dbt build is measured against.

It reads what the build reads, computes the same columns with polars and writes
them back: the same column names, order and types, NOT NULLs, primary keys,
indexes and sort order, all read from the tables that dbt has built.
`benchmark_features.py` times it and compares its tables with dbt's.

It knows daily and weekly bars only, whose formulas are simpler: all bars have
one place in the session, so the variance expected of k bars is k times that of
one.

It is meant to be hard to beat:

- bars are read by two connections as Arrow; nothing passes through Python
  objects;
- a window is a plain rolling one over all series laid end to end, without
  grouping: where it would reach into the series before, the row is in its
  warm-up and has no value anyway;
- each table is written by a connection of its own while the next one is
  computed, by binary COPY into a table made in the same transaction (the
  server then skips its log), key and indexes laid on at the end.

A feature that is new in the dbt project needs its formula in `FEATURES`.
"""

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields

import polars as pl
from adbc_driver_postgresql import dbapi

from python_ml.exceptions import SchemaError
from python_ml.warehouse.connection import Warehouse

TABLES = ("bars", "feature_rows", "labels")
SCHEMA = "polars_reference"
N_READERS = 2

VOLATILITY_FLOOR = 0.00001
VOLATILITY_BARS = 20
LONGEST_BARS = 60
WINDOWS = (5, 10, 14, 20, 60)

DAILY, WEEKLY = "d1", "w1"
SERIES = ["symbol_id", "timeframe"]
BAR = [*SERIES, "bar_number"]
PRICES = ["open", "high", "low", "close"]
HIGHER_FEATURES = [
    "return_1",
    "return_5",
    "return_20",
    "volatility_ratio_5_20",
    "distance_from_average_20",
    "range_place_20",
    "rsi_14",
]
# Whose neutral value is their middle.
SHARES = ("range_place_20", "rsi_14")
POLARS_TYPES = {
    "text": pl.String,
    "integer": pl.Int32,
    "bigint": pl.Int64,
    "double precision": pl.Float64,
    "boolean": pl.Boolean,
    "date": pl.Date,
    "timestamp with time zone": pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True)
class TableShape:
    """What a table of dbt's looks like, for the reference to make the same.

    Parameters
    ----------
    name : str
        Name in schema `features`.
    columns : dict of str to str
        PostgreSQL's type of each column, in order.
    key : tuple of str
        Columns of the primary key.
    indexes : tuple of str
        Columns of each other index, as SQL.
    """

    name: str
    columns: dict[str, str]
    key: tuple[str, ...]
    indexes: tuple[str, ...]


@dataclass
class StepTimes:
    """When each step began and ended, in seconds since the pipeline's start."""

    started: float = field(default_factory=time.perf_counter)
    steps: dict[str, tuple[float, float]] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step."""
        began = time.perf_counter() - self.started
        try:
            yield
        finally:
            self.steps[name] = (began, time.perf_counter() - self.started)

    def to_text(self) -> str:
        """Write all steps in one line."""
        return ", ".join(
            f"{name} {began:.1f}-{ended:.1f}"
            for name, (began, ended) in self.steps.items()
        )


@dataclass(frozen=True)
class Inputs:
    """Everything that is read: bars and the small tables beside them."""

    bars: pl.DataFrame
    symbols: pl.DataFrame
    grid: pl.DataFrame
    adjustments: pl.DataFrame
    timeframes: pl.DataFrame
    horizons: pl.DataFrame
    label_rules: pl.DataFrame


def read_shapes(warehouse: Warehouse) -> dict[str, TableShape]:
    """Columns, types, keys and indexes of the tables that dbt built."""
    names = ", ".join(f"'{name}'" for name in TABLES)
    columns = read_query(
        warehouse,
        f"""
        select table_name, column_name, data_type
        from information_schema.columns
        where
            table_schema = '{warehouse.sql("{features}")}'
            and table_name in ({names})
        order by table_name, ordinal_position
        """,
    )
    indexes = read_query(
        warehouse,
        f"""
        select
            tables.relname as table_name,
            indexes.indisprimary as is_key,
            (
                select string_agg(
                    pg_get_indexdef(indexes.indexrelid, place, true), ', '
                    order by place
                )
                from generate_series(1, indexes.indnkeyatts) as place
            ) as columns
        from pg_index as indexes
        inner join pg_class as tables on indexes.indrelid = tables.oid
        where
            tables.relnamespace
            = '{warehouse.sql("{features}")}'::regnamespace
            and tables.relname in ({names})
        """,
    )
    shapes = {}
    for name in TABLES:
        own = columns.filter(pl.col("table_name") == name)
        if own.is_empty():
            raise SchemaError(
                f"features.{name} is not there. Build it with: swiftbolt build"
            )
        shapes[name] = TableShape(
            name,
            dict(zip(own["column_name"], own["data_type"], strict=True)),
            *_keys(indexes.filter(pl.col("table_name") == name)),
        )
    return shapes


def _keys(indexes: pl.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of the primary key, and of each other index as SQL."""
    key = indexes.filter("is_key")["columns"]
    return (
        tuple(key[0].split(", ")) if len(key) else (),
        tuple(indexes.filter(~pl.col("is_key"))["columns"]),
    )


def build(
    warehouse: Warehouse, shapes: dict[str, TableShape]
) -> tuple[dict[str, int], StepTimes]:
    """Read, compute and write all three tables into schema `SCHEMA`.

    Returns
    -------
    dict of str to int
        Rows of each table.
    StepTimes
        What took how long; steps overlap.

    Raises
    ------
    SchemaError
        If dbt's tables have a column that is not computed here, or bars of
        less than a session are loaded.
    """
    times = StepTimes()
    n_rows: dict[str, int] = {}
    writes: list[Future[None]] = []
    with ThreadPoolExecutor(len(TABLES)) as writers:

        def start_to_write(name: str, frame: pl.DataFrame) -> None:
            n_rows[name] = frame.height
            writes.append(
                writers.submit(_write, warehouse, shapes[name], frame, times)
            )

        with times.step("read"):
            inputs = read_inputs(warehouse)
        with times.step("compute bars"):
            bars = make_bars(inputs)
            start_to_write("bars", shaped(bars, shapes["bars"]))
        with times.step("compute windows"):
            windows = measure_windows(with_carried(bars, inputs.timeframes))
        with times.step("compute labels"):
            labels = make_labels(windows, inputs)
            start_to_write("labels", shaped(labels, shapes["labels"]))
        with times.step("compute features"):
            features = make_feature_rows(
                windows, inputs, feature_names(shapes["feature_rows"])
            )
            start_to_write(
                "feature_rows", shaped(features, shapes["feature_rows"])
            )
        for write in writes:
            write.result()
    return n_rows, times


# Reading


def read_inputs(warehouse: Warehouse) -> Inputs:
    """Read bars by several connections at once, and the small tables."""
    symbols = read_query(
        warehouse, "select symbol_id, ticker, calendar from {raw}.symbols"
    )
    ids = symbols["symbol_id"].sort()
    edges = [ids[len(ids) * n // N_READERS] for n in range(N_READERS)]
    ranges = [f"symbol_id >= {edge}" for edge in edges]
    for n, edge in enumerate(edges[1:]):
        ranges[n] += f" and symbol_id < {edge}"

    def read_bars(where: str) -> pl.DataFrame:
        return read_query(
            warehouse,
            "select symbol_id, timeframe, opened_at, closed_at, open, high, "
            "low, close, volume, recorded_at, batch_id from {raw}.bars "
            f"where {where}",
        )

    with ThreadPoolExecutor(N_READERS) as readers:
        parts = list(readers.map(read_bars, ranges))
    grid = read_query(
        warehouse,
        "select calendar, timeframe, bar_number, session_date, "
        "session_number, n_sessions, place_in_session, session_bars, "
        "opened_at, closed_at, w1_bar_number, higher_timeframe, "
        "higher_bar_number from {features}.bar_grid "
        "where timeframe in ('d1', 'w1') "
        "order by calendar, timeframe, bar_number",
    )
    inputs = Inputs(
        bars=pl.concat(parts),
        symbols=symbols,
        grid=grid,
        adjustments=read_query(
            warehouse,
            "select symbol_id, effective_at, kind, batch_id, factor, "
            "recorded_at from {raw}.adjustments",
        ),
        timeframes=read_query(
            warehouse,
            "select timeframe, max_hole_bars, min_window_share, "
            "min_parts_share "
            "from {features}.timeframes",
        ),
        horizons=read_query(
            warehouse,
            "select calendar, timeframe, horizon, horizon_bars "
            "from {features}.horizons",
        ),
        label_rules=read_query(
            warehouse,
            "select timeframe, rule, volatility_multiple, fixed_return "
            "from {features}.label_rules",
        ),
    )
    return _with_coded_names(inputs)


def _with_coded_names(inputs: Inputs) -> Inputs:
    """Hold names as small numbers that sort as the names do."""

    def names(*columns: pl.Series) -> pl.Enum:
        return pl.Enum(pl.concat(columns).drop_nulls().unique().sort())

    timeframe = names(
        inputs.timeframes["timeframe"],
        inputs.grid["timeframe"],
        inputs.bars["timeframe"].unique(),
    )
    codes = {
        "ticker": names(inputs.symbols["ticker"]),
        "calendar": names(
            inputs.symbols["calendar"],
            inputs.grid["calendar"],
            inputs.horizons["calendar"],
        ),
        "timeframe": timeframe,
        "higher_timeframe": timeframe,
        "horizon": names(inputs.horizons["horizon"]),
    }

    def coded(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            pl.col(name).cast(code)
            for name, code in codes.items()
            if name in frame.columns
        )

    return Inputs(
        **{one.name: coded(getattr(inputs, one.name)) for one in fields(inputs)}
    )


def read_query(warehouse: Warehouse, query: str) -> pl.DataFrame:
    """Read the result of a query, with schemas as `{features}.bars`."""
    with (
        dbapi.connect(warehouse.parameters.url()) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("set timezone to 'UTC'")
        cursor.execute(warehouse.sql(query))
        table = cursor.fetch_arrow_table()
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


# Bars


def make_bars(inputs: Inputs) -> pl.DataFrame:
    """Newest record of every bar, on the grid, adjusted, rolled up; sorted."""
    loaded = set(inputs.bars["timeframe"].unique())
    if intraday := loaded - {DAILY, WEEKLY}:
        raise SchemaError(
            "The reference pipeline computes daily and weekly bars, and "
            f"{', '.join(sorted(intraday))} are loaded."
        )
    placed = _adjusted(_placed_on_grid(inputs), _by_timeframe(inputs))
    placed = placed.with_columns(
        pl.lit(None, placed.schema["timeframe"]).alias("rolled_up_from"),
        pl.lit(None, pl.UInt32).alias("n_parts"),
        pl.lit(None, pl.Int32).alias("n_grid_parts"),
    )
    daily = placed.filter(pl.col("timeframe") == DAILY)
    if WEEKLY in loaded:
        weekly = placed.filter(pl.col("timeframe") == WEEKLY)
        daily = daily.join(weekly, on="symbol_id", how="anti")
    weeks = _rolled_up(daily, inputs).select(placed.columns)
    return sorted_by(pl.concat([placed, weeks]), BAR)


def _placed_on_grid(inputs: Inputs) -> pl.DataFrame:
    placed = (
        inputs.bars.lazy()
        .join(inputs.symbols.lazy(), on="symbol_id", maintain_order="left")
        .join(
            inputs.grid.lazy(),
            on=["calendar", "timeframe", "opened_at", "closed_at"],
            maintain_order="left",
        )
        .rename({"recorded_at": "max_recorded_at"})
        .collect()
    )
    is_newest = pl.any_horizontal(
        pl.col(name).ne_missing(pl.col(name).shift(-1)) for name in BAR
    )
    return sorted_by(placed, [*BAR, "batch_id"]).filter(is_newest)


def _by_timeframe(inputs: Inputs) -> pl.DataFrame:
    """Adjustments once for each timeframe, by the open of their first bar.

    A week closes on the basis of its last session, so it is the first that
    stands on the basis of what takes effect in it.
    """
    days, weeks = (
        inputs.grid.filter(pl.col("timeframe") == timeframe)
        for timeframe in (DAILY, WEEKLY)
    )
    week_opens = days.join(
        weeks.select(
            "calendar",
            pl.col("bar_number").alias("w1_bar_number"),
            pl.col("opened_at").alias("week_opened_at"),
        ),
        on=["calendar", "w1_bar_number"],
    ).select("calendar", "opened_at", "week_opened_at")
    daily = inputs.adjustments.with_columns(
        pl.lit(DAILY, inputs.bars.schema["timeframe"]).alias("timeframe"),
        pl.col("effective_at").alias("opened_at"),
    )
    weekly = (
        daily.join(inputs.symbols, on="symbol_id")
        .join(week_opens, on=["calendar", "opened_at"], how="left")
        .with_columns(
            pl.lit(WEEKLY, inputs.bars.schema["timeframe"]).alias("timeframe"),
            pl.coalesce("week_opened_at", "opened_at").alias("opened_at"),
        )
    )
    return pl.concat([daily, weekly.select(daily.columns)])


def _adjusted(bars: pl.DataFrame, adjustments: pl.DataFrame) -> pl.DataFrame:
    """Divide prices by the factors of all that takes effect by the bar."""
    adjusted = [f"adjusted_{name}" for name in [*PRICES, "volume"]]
    if adjustments.is_empty():
        return bars.with_columns(
            pl.col(name.removeprefix("adjusted_")).alias(name)
            for name in adjusted
        )
    factors = (
        adjustments.sort("batch_id")
        .unique(["symbol_id", "timeframe", "effective_at", "kind"], keep="last")
        .group_by(*SERIES, "opened_at")
        .agg(
            pl.col("factor").log().sum().alias("price_factor"),
            pl.col("factor")
            .filter(pl.col("kind") == "split")
            .log()
            .sum()
            .alias("split_factor"),
            pl.col("recorded_at").max().alias("adjusted_at"),
            pl.col("batch_id").max().alias("adjusted_batch_id"),
        )
        .sort(*SERIES, "opened_at")
        .with_columns(
            pl.col("price_factor", "split_factor").cum_sum().over(SERIES).exp(),
            pl.col("adjusted_batch_id").cum_max().over(SERIES),
            pl.col("opened_at").alias("adjusted_from"),
        )
        .sort("opened_at")
    )
    return (
        bars.sort("opened_at")
        .join_asof(
            factors,
            on="opened_at",
            by=SERIES,
            strategy="backward",
            check_sortedness=False,
        )
        .with_columns(
            pl.col("price_factor", "split_factor").fill_null(1.0),
            # Declared by the bar that opens with it.
            pl.max_horizontal(
                "max_recorded_at",
                pl.when(pl.col("adjusted_from") == pl.col("opened_at")).then(
                    "adjusted_at"
                ),
            ).alias("max_recorded_at"),
            pl.max_horizontal("batch_id", "adjusted_batch_id").alias(
                "batch_id"
            ),
        )
        .with_columns(
            *(
                (pl.col(name) / pl.col("price_factor")).alias(
                    f"adjusted_{name}"
                )
                for name in PRICES
            ),
            (pl.col("volume") * pl.col("split_factor")).alias(
                "adjusted_volume"
            ),
        )
        .select([*bars.columns, *adjusted])
        .sort(*SERIES, "opened_at")
    )


def _rolled_up(daily: pl.DataFrame, inputs: Inputs) -> pl.DataFrame:
    """Weeks, where the last session of one and enough others have bars."""
    settings = inputs.timeframes.filter(pl.col("timeframe") == WEEKLY)
    min_parts_share = settings["min_parts_share"].item()
    basis = pl.col("close") / pl.col("adjusted_close")
    return (
        daily.lazy()
        # Sorted by time within a symbol, so first and last are what they say.
        .group_by("symbol_id", "w1_bar_number", maintain_order=True)
        .agg(
            pl.col("ticker", "calendar").first(),
            pl.col("adjusted_open").first(),
            pl.col("adjusted_high").max(),
            pl.col("adjusted_low").min(),
            pl.col("adjusted_close", "close").last(),
            pl.col("adjusted_volume").sum(),
            (pl.col("volume") / pl.col("adjusted_volume"))
            .last()
            .alias("shares_per_adjusted_share"),
            pl.col("max_recorded_at", "batch_id").max(),
            pl.col("closed_at").last().alias("last_closed_at"),
            pl.len().alias("n_parts"),
        )
        .rename({"w1_bar_number": "bar_number"})
        .join(
            inputs.grid.lazy().filter(pl.col("timeframe") == WEEKLY),
            on=["calendar", "bar_number"],
            maintain_order="left",
        )
        .filter(
            pl.col("last_closed_at") == pl.col("closed_at"),
            pl.col("n_parts") / pl.col("n_sessions") >= min_parts_share,
        )
        .with_columns(
            pl.col("n_sessions").alias("n_grid_parts"),
            pl.lit(DAILY, daily.schema["timeframe"]).alias("rolled_up_from"),
            (pl.col("adjusted_open") * basis).alias("open"),
            pl.max_horizontal(pl.col("adjusted_high") * basis, "close").alias(
                "high"
            ),
            pl.min_horizontal(pl.col("adjusted_low") * basis, "close").alias(
                "low"
            ),
            (
                pl.col("adjusted_volume")
                * pl.col("shares_per_adjusted_share")
                .fill_nan(1.0)
                .fill_null(1.0)
            ).alias("volume"),
        )
        .collect()
    )


# Features


def _mean(expression: pl.Expr, bars: int) -> pl.Expr:
    return expression.rolling_mean(bars)


def _observed_mean(expression: pl.Expr, bars: int) -> pl.Expr:
    """Mean over observed bars, of what is 0 in carried ones."""
    return _mean(expression, bars) * pl.col(f"weight_{bars}")


def _positive(expression: pl.Expr) -> pl.Expr:
    return pl.when(expression > 0).then(expression)


def _half_log_ratio(variance: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Log ratio of two volatilities, given as variances."""
    return 0.5 * _positive(variance / _positive(other)).log()


def _ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    return numerator / pl.when(denominator != 0).then(denominator)


def _scaled_return(bars: int) -> pl.Expr:
    change = pl.col("log_close") - pl.col("log_close").shift(bars)
    return change / (pl.col("volatility") * math.sqrt(bars))


def _distance_from_average(bars: int) -> pl.Expr:
    distance = pl.col("log_close") - _mean(pl.col("adjusted_close"), bars).log()
    return distance / (pl.col("volatility") * math.sqrt(bars))


def _range_place(bars: int) -> pl.Expr:
    highest = pl.col("adjusted_high").rolling_max(bars)
    lowest = pl.col("adjusted_low").rolling_min(bars)
    return _ratio(pl.col("adjusted_close") - lowest, highest - lowest)


def _scaled_slope(bars: int) -> pl.Expr:
    """Least-squares slope on the place in the series, times their root."""
    place = pl.col("place").cast(pl.Float64)
    centre = place - (bars - 1) / 2
    log_close = pl.col("log_close")
    products = (place * log_close).rolling_sum(bars)
    slope = (products - centre * log_close.rolling_sum(bars)) / (
        bars * (bars**2 - 1) / 12
    )
    return slope * math.sqrt(bars) / pl.col("volatility")


def _volume_ratio(recent: pl.Expr) -> pl.Expr:
    mean = _observed_mean(VOLUME, 20)
    return (
        pl.when(mean > 0)
        .then(_positive(recent).log() - _positive(mean).log())
        .when(mean.is_not_null())
        .then(0.0)
    )


MOVE = pl.col("move")
RANGE = pl.col("squared_range")
GARMAN_KLASS = pl.col("garman_klass_variance")
VOLATILITY = pl.col("volatility")
VOLUME = pl.col("adjusted_volume")

# In terms of the columns of `measure_windows`; what a formula divides by
# nothing is null. The higher timeframe's are added by `make_feature_rows`.
FEATURES: dict[str, pl.Expr] = {
    "return_1": MOVE / VOLATILITY,
    **{f"return_{bars}": _scaled_return(bars) for bars in (2, 5, 10, 20, 60)},
    "absolute_return_1": MOVE.abs() / VOLATILITY,
    "absolute_return_5": _observed_mean(MOVE.abs(), 5) / VOLATILITY,
    "absolute_return_20": _observed_mean(MOVE.abs(), 20) / VOLATILITY,
    "previous_absolute_return_1": pl.when(pl.col("bars_spanned") > 1)
    .then(MOVE)
    .otherwise(MOVE.shift(1))
    .abs()
    / VOLATILITY,
    "overnight_gap": (
        pl.col("adjusted_open") / pl.col("adjusted_close").shift(1)
    ).log()
    / pl.col("bars_spanned").sqrt()
    / VOLATILITY,
    "volatility_ratio_5_20": _half_log_ratio(
        _observed_mean(MOVE**2, 5), _observed_mean(MOVE**2, 20)
    ),
    "volatility_ratio_20_60": _half_log_ratio(
        _observed_mean(MOVE**2, 20), _observed_mean(MOVE**2, 60)
    ),
    "realized_to_expected_20": pl.lit(0.0),
    "parkinson_ratio_5_20": _half_log_ratio(
        _observed_mean(RANGE, 5), _observed_mean(RANGE, 20)
    ),
    "parkinson_ratio_20_60": _half_log_ratio(
        _observed_mean(RANGE, 20), _observed_mean(RANGE, 60)
    ),
    "parkinson_to_realized_20": _half_log_ratio(
        _observed_mean(RANGE, 20) / (4 * math.log(2)),
        _observed_mean(MOVE**2, 20),
    ),
    "garman_klass_ratio_5_20": _half_log_ratio(
        _observed_mean(GARMAN_KLASS, 5), _observed_mean(GARMAN_KLASS, 20)
    ),
    "garman_klass_to_realized_20": _half_log_ratio(
        _observed_mean(GARMAN_KLASS, 20), _observed_mean(MOVE**2, 20)
    ),
    "downside_share_20": _ratio(
        _observed_mean(MOVE.clip(upper_bound=0) ** 2, 20),
        _observed_mean(MOVE**2, 20),
    ),
    **{
        f"distance_from_average_{bars}": _distance_from_average(bars)
        for bars in (5, 10, 20, 60)
    },
    **{f"range_place_{bars}": _range_place(bars) for bars in (5, 20, 60)},
    "rsi_14": _ratio(
        _observed_mean(MOVE.clip(lower_bound=0), 14),
        _observed_mean(MOVE.abs(), 14),
    ),
    "trend_slope_20": _scaled_slope(20),
    "trend_slope_60": _scaled_slope(60),
    "volume_ratio_20": _volume_ratio(VOLUME),
    "volume_ratio_5_20": _volume_ratio(_observed_mean(VOLUME, 5)),
    "candle_body": pl.col("body") / VOLATILITY,
    "candle_range": pl.col("log_range") / VOLATILITY,
    "upper_shadow": (
        pl.col("adjusted_high")
        / pl.max_horizontal("adjusted_open", "adjusted_close")
    ).log()
    / VOLATILITY,
    "lower_shadow": (
        pl.min_horizontal("adjusted_open", "adjusted_close")
        / pl.col("adjusted_low")
    ).log()
    / VOLATILITY,
    "minute_of_day": (
        pl.col("closed_at").dt.hour().cast(pl.Float64) * 60
        + pl.col("closed_at").dt.minute()
    ),
    "place_in_session": pl.lit(1.0),
    "place_volatility": pl.lit(0.0),
    "ahead_place_volatility": pl.lit(0.0),
    "ahead_volatility_ratio_5_20": pl.lit(0.0),
    "ahead_parkinson_to_realized_20": pl.lit(0.0),
    "weekday": pl.col("session_date").dt.weekday().cast(pl.Float64),
}


def feature_names(shape: TableShape) -> list[str]:
    """Features of dbt's table, in order; each must have a formula here.

    Raises
    ------
    SchemaError
        If one has none.
    """
    columns = list(shape.columns)
    names = columns[columns.index("reference_close") + 1 :]
    known = {*FEATURES, *(f"higher_{name}" for name in HIGHER_FEATURES)}
    if unknown := [name for name in names if name not in known]:
        raise SchemaError(
            f"The reference pipeline does not compute {', '.join(unknown)} of "
            "features.feature_rows. Add the formula to FEATURES in "
            "scripts/polars_reference.py."
        )
    return names


def with_carried(bars: pl.DataFrame, timeframes: pl.DataFrame) -> pl.DataFrame:
    """Bars and the places of short holes between them, where closes stand."""
    settings = timeframes.select(
        "timeframe", "max_hole_bars", "min_window_share"
    )
    bars = bars.join(settings, on="timeframe", maintain_order="left")
    is_same_series = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(name).shift(-1)) for name in SERIES
    )
    n_missing = pl.col("bar_number").shift(-1) - pl.col("bar_number") - 1
    holes = bars.with_columns(n_missing.alias("n_missing")).filter(
        is_same_series
        & pl.col("n_missing").is_between(1, pl.col("max_hole_bars"))
    )
    observed = bars.with_columns(
        pl.lit(False).alias("is_carried"),
        pl.col("bar_number").alias("observed_bar_number"),
    )
    if holes.is_empty():
        return observed
    carried = (
        holes.with_columns(
            pl.int_ranges(1, pl.col("n_missing") + 1).alias("after")
        )
        .explode("after")
        .with_columns(
            (pl.col("bar_number") + pl.col("after"))
            .cast(pl.Int32)
            .alias("bar_number"),
            *(
                pl.col("adjusted_close").alias(f"adjusted_{name}")
                for name in PRICES
            ),
            pl.lit(0.0).alias("adjusted_volume"),
            pl.lit(True).alias("is_carried"),
            pl.col("bar_number").alias("observed_bar_number"),
        )
        .select(observed.columns)
    )
    return sorted_by(pl.concat([observed, carried]), BAR)


def _weights(bars: pl.DataFrame) -> list[pl.Expr]:
    """How many bars of each window stand for one that was observed."""
    if not bars["is_carried"].any():
        return [pl.lit(1.0).alias(f"weight_{window}") for window in WINDOWS]
    is_observed = (~pl.col("is_carried")).cast(pl.Float64)
    return [
        (1 / is_observed.rolling_mean(window)).alias(f"weight_{window}")
        for window in WINDOWS
    ]


def measure_windows(bars: pl.DataFrame) -> pl.DataFrame:
    """What features and labels share: moves, volatility, whole windows."""
    number = pl.int_range(pl.len(), dtype=pl.Int32)
    starts_series = pl.any_horizontal(
        pl.col(name).ne_missing(pl.col(name).shift(1)) for name in SERIES
    )

    def is_whole(window: int, observed: Sequence[int]) -> pl.Expr:
        reach = pl.col("bar_number") - pl.col("bar_number").shift(window)
        return pl.when(pl.col("place") >= window).then(
            pl.all_horizontal(
                reach == window,
                *(
                    pl.col(f"weight_{each}") * pl.col("min_window_share")
                    <= 1 + 1e-9
                    for each in observed
                ),
            )
        )

    mean_square = _observed_mean(MOVE**2, VOLATILITY_BARS)
    return (
        bars.lazy()
        .with_columns(
            (number - pl.when(starts_series).then(number).forward_fill()).alias(
                "place"
            ),
            pl.col("adjusted_close").log().alias("log_close"),
            (pl.col("adjusted_close") / pl.col("adjusted_open"))
            .log()
            .alias("body"),
            (pl.col("adjusted_high") / pl.col("adjusted_low"))
            .log()
            .alias("log_range"),
            pl.when(starts_series)
            .then(pl.col("bar_number"))
            .forward_fill()
            .alias("first_bar_number"),
            (pl.col("bar_number") - pl.col("observed_bar_number").shift(1))
            .cast(pl.Float64)
            .alias("bars_spanned"),
            *_weights(bars),
        )
        .with_columns((pl.col("log_range") ** 2).alias("squared_range"))
        .with_columns(
            (
                (pl.col("log_close") - pl.col("log_close").shift(1))
                / pl.col("bars_spanned").sqrt()
            )
            .fill_null(0.0)
            .alias("move"),
            (0.5 * RANGE - (2 * math.log(2) - 1) * pl.col("body") ** 2).alias(
                "garman_klass_variance"
            ),
            pl.when(pl.col("place") >= 20)
            .then(_observed_mean(VOLUME, 20) > 0)
            .otherwise(VOLUME > 0)
            .alias("has_volume"),
            is_whole(VOLATILITY_BARS, [VOLATILITY_BARS]).alias(
                "is_volatility_window_whole"
            ),
            is_whole(VOLATILITY_BARS, WINDOWS[:-1]).alias(
                "is_higher_window_whole"
            ),
            is_whole(LONGEST_BARS, WINDOWS).alias("is_longest_window_whole"),
        )
        .with_columns(
            pl.when(
                pl.col("is_volatility_window_whole")
                & (mean_square > VOLATILITY_FLOOR**2)
            )
            .then(mean_square)
            .alias("mean_squared_move")
        )
        .with_columns(pl.col("mean_squared_move").sqrt().alias("volatility"))
        .collect()
    )


def make_feature_rows(
    windows: pl.DataFrame, inputs: Inputs, features: Sequence[str]
) -> pl.DataFrame:
    """Features of every bar, null where a row is unusable, with why."""
    own_features = [
        FEATURES[name].alias(name)
        for name in {*features, *HIGHER_FEATURES} & FEATURES.keys()
    ]
    # At once: looking for what expressions share costs more than it saves.
    scaled = windows.with_columns(
        *own_features, _last_recorded_at().alias("max_recorded_at")
    )
    if scaled["is_carried"].any():
        scaled = scaled.filter(~pl.col("is_carried"))
    higher = scaled.filter(
        pl.col("timeframe").is_in(
            inputs.grid["higher_timeframe"].drop_nulls().unique().implode()
        )
    ).select(
        "symbol_id",
        pl.col("timeframe").alias("higher_timeframe"),
        pl.col("bar_number").alias("higher_bar_number"),
        pl.col("closed_at").alias("higher_bar_closed_at"),
        pl.col("max_recorded_at").alias("higher_recorded_at"),
        pl.col("is_higher_window_whole").alias("higher_is_warm"),
        *(pl.col(name).alias(f"higher_{name}") for name in HIGHER_FEATURES),
    )
    is_top = pl.col("higher_timeframe").is_null()
    is_young = pl.col("bar_number") < pl.col("first_bar_number") + LONGEST_BARS
    is_whole = pl.col("is_longest_window_whole").fill_null(False)
    any_feature_missing = pl.any_horizontal(
        pl.col(name).is_null() for name in features
    )
    reason = (
        pl.when(is_young)
        .then(pl.lit("warm_up"))
        .when(~is_whole)
        .then(pl.lit("missing_bar"))
        .when(pl.col("has_volume") & (VOLUME == 0))
        .then(pl.lit("no_volume"))
        .when(VOLATILITY.is_null())
        .then(pl.lit("flat_window"))
        .when(any_feature_missing)
        .then(pl.lit("flat_window"))
    )
    is_usable = pl.col("unusable_reason").is_null()
    return (
        scaled.lazy()
        .join(
            higher.lazy(),
            on=["symbol_id", "higher_timeframe", "higher_bar_number"],
            how="left",
            maintain_order="left",
        )
        .with_columns(
            pl.when(is_top)
            .then(0.0)
            .when("higher_is_warm")
            .then(pl.col(f"higher_{name}"))
            .otherwise(0.5 if name in SHARES else 0.0)
            .alias(f"higher_{name}")
            for name in HIGHER_FEATURES
        )
        .with_columns(
            pl.when(~is_top)
            .then(pl.col("higher_is_warm").fill_null(False))
            .alias("higher_is_warm")
        )
        .with_columns(reason.alias("unusable_reason"))
        .with_columns(
            is_usable.alias("is_usable"),
            pl.col("closed_at").alias("last_bar_closed_at"),
            pl.max_horizontal("max_recorded_at", "higher_recorded_at").alias(
                "max_recorded_at"
            ),
            pl.when(is_usable)
            .then(LONGEST_BARS - LONGEST_BARS / pl.col("weight_60"))
            .round()
            .alias("n_carried_bars"),
            pl.col("close").alias("reference_close"),
            *(
                pl.when(is_usable).then(pl.col(name)).alias(name)
                for name in features
            ),
        )
        .collect()
    )


def _last_recorded_at() -> pl.Expr:
    """When the last known of all bars in the longest window was recorded."""
    time = pl.col("max_recorded_at").to_physical()
    return (
        pl.when(pl.col("place") >= LONGEST_BARS)
        .then(time.rolling_max(LONGEST_BARS + 1))
        .otherwise(time.cum_max().over(SERIES))
        .cast(POLARS_TYPES["timestamp with time zone"])
    )


# Labels


def make_labels(windows: pl.DataFrame, inputs: Inputs) -> pl.DataFrame:
    """Labels of every bar and horizon, in any order.

    Sorting them afterwards is faster than joins that keep an order.
    """
    observed = windows.lazy().filter(~pl.col("is_carried"))
    bars = observed.select(
        *BAR,
        "ticker",
        "calendar",
        "closed_at",
        "adjusted_close",
        "batch_id",
        pl.when("is_volatility_window_whole")
        .then(pl.col("mean_squared_move"))
        .alias("mean_squared_move"),
        pl.col("bar_number").last().over(SERIES).alias("last_bar_number"),
    )
    targets = observed.select(
        *SERIES,
        pl.col("bar_number").alias("label_end_bar_number"),
        pl.col("adjusted_close").alias("target_close"),
        pl.col("batch_id").alias("target_batch_id"),
    )
    grid = inputs.grid.lazy().select(
        "calendar",
        "timeframe",
        pl.col("bar_number").alias("label_end_bar_number"),
        pl.col("closed_at").alias("label_end_at"),
    )
    label_return = pl.col("label_return")
    threshold = pl.col("label_threshold")
    is_due = pl.col("label_end_bar_number") <= pl.col("last_bar_number")
    has_label = pl.col("label_reason").is_null()
    return (
        bars.join(inputs.horizons.lazy(), on=["calendar", "timeframe"])
        .join(inputs.label_rules.lazy(), on="timeframe")
        .with_columns(
            (pl.col("bar_number") + pl.col("horizon_bars")).alias(
                "label_end_bar_number"
            ),
        )
        .join(
            grid,
            on=["calendar", "timeframe", "label_end_bar_number"],
            how="left",
        )
        .join(targets, on=[*SERIES, "label_end_bar_number"], how="left")
        .with_columns(
            (pl.col("target_close") / pl.col("adjusted_close"))
            .log()
            .alias("label_return"),
            (pl.col("mean_squared_move") * pl.col("horizon_bars"))
            .sqrt()
            .alias("expected_volatility"),
        )
        .with_columns(
            pl.when(pl.col("rule") == "fixed_return")
            .then(pl.col("fixed_return"))
            .otherwise(
                pl.col("volatility_multiple") * pl.col("expected_volatility")
            )
            .alias("label_threshold"),
            pl.when(~is_due)
            .then(pl.lit("not_closed"))
            .when(label_return.is_null())
            .then(pl.lit("missing_bar"))
            .when(pl.col("expected_volatility").is_null())
            .then(pl.lit("no_volatility"))
            .alias("label_reason"),
        )
        .with_columns(
            pl.when(has_label)
            .then(
                pl.when(label_return > threshold)
                .then(pl.lit("BULLISH"))
                .when(label_return < -threshold)
                .then(pl.lit("BEARISH"))
                .otherwise(pl.lit("NEUTRAL"))
            )
            .alias("label"),
            pl.when(has_label).then(label_return).alias("label_return"),
            pl.max_horizontal("batch_id", "target_batch_id").alias("batch_id"),
        )
        .collect()
    )


# Writing


def shaped(frame: pl.DataFrame, shape: TableShape) -> pl.DataFrame:
    """Columns of a table in its order and types, rows in its key's order.

    Raises
    ------
    SchemaError
        If the frame lacks a column.
    """
    if missing := [name for name in shape.columns if name not in frame.columns]:
        raise SchemaError(
            f"The reference pipeline does not compute {', '.join(missing)} of "
            f"features.{shape.name}. Add it to scripts/polars_reference.py."
        )
    return sorted_by(frame.select(list(shape.columns)), shape.key).select(
        pl.col(name).cast(POLARS_TYPES[kind])
        for name, kind in shape.columns.items()
    )


def sorted_by(frame: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Sort by columns of non-negative integers or coded names.

    They are packed into one number, which sorts several times faster; a frame
    in order is returned as it is.
    """
    numbers = frame.select(
        pl.col(name).to_physical().cast(pl.UInt64) for name in key
    )
    packed = pl.lit(0, pl.UInt64)
    for column in numbers.iter_columns():
        packed = packed * 2 ** int(column.max() or 0).bit_length() + column
    order = numbers.select(packed.alias("packed"))["packed"]
    return frame if order.is_sorted() else frame[order.arg_sort()]


def _write(
    warehouse: Warehouse,
    shape: TableShape,
    frame: pl.DataFrame,
    times: StepTimes,
) -> None:
    schema = warehouse.settings.schema(SCHEMA)
    name = f"{schema}.{shape.name}"
    with (
        times.step(f"write {shape.name}"),
        dbapi.connect(warehouse.parameters.url()) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"drop table if exists {name}")
        # Brings the types and NOT NULLs, not the keys and checks.
        cursor.execute(
            warehouse.sql(
                f"create table {name} (like {{features}}.{shape.name})"
            )
        )
        cursor.adbc_ingest(
            shape.name,
            frame.to_arrow(compat_level=pl.CompatLevel.oldest()),
            mode="append",
            db_schema_name=schema,
        )
        cursor.execute(
            f"alter table {name} add primary key ({', '.join(shape.key)})"
        )
        for columns in shape.indexes:
            cursor.execute(f"create index on {name} ({columns})")
        cursor.execute(f"analyze {name}")
        connection.commit()
