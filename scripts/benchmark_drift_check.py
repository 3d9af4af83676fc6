"""The cost of a day's check of drift, on a ledger that is made, not forecast.

Sessions, symbols and their daily bars are written as they would be after two
years; so are a version of each series, its forecasts, and what became of all
but those that the last day settles.
"""

import json
import time

import numpy as np
import pandas as pd
import sqlalchemy as sa
from benchmark_daily import CLI, MEMORY_SECONDS
from benchmarking import (
    Figures,
    checkpoint,
    count_rows,
    run_python,
    say,
    server_seconds,
    settle,
    throwaway_settings,
)

from python_ml import schema
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.connection import Warehouse, open_warehouse
from python_ml.warehouse.dbt import run_dbt

N_SESSIONS = 504
N_AHEAD = 60
N_ASKED = 5
HORIZONS = {"1d": 1, "5d": 5, "20d": 20}

VERSIONS = """
    insert into {ml}.training_cuts (
        calendar, timeframe, as_of, split, embargo_bars, window_bars,
        window_starts_at, fit_labels_end_before, validation_starts_at, scope
    )
    select 'XNYS', 'd1', max(closed_at), '70/30', 1, 600,
        min(closed_at) - interval '3 day', min(closed_at) - interval '2 day',
        min(closed_at) - interval '1 day', 'all'
    from {features}.bar_grid
    where timeframe = 'd1' and bar_number = 1;

    insert into {ml}.ensembles (
        version_id, symbol_id, timeframe, as_of, cut_id, artifact_path, sha256,
        horizons, feature_names, classes, data_fingerprint,
        settings_fingerprint, code_version, library_versions
    )
    select 'v' || symbol_id, symbol_id, 'd1', cuts.as_of, cuts.cut_id, '', '',
        '["1d", "5d", "20d"]', '[]', '[]', '', '', '', '{}'
    from {raw}.symbols cross join {ml}.training_cuts as cuts;

    insert into {ml}.deployments (
        symbol_id, timeframe, version_id, effective_at, reason, horizons
    )
    select symbol_id, timeframe, version_id, as_of, 'made', horizons
    from {ml}.ensembles;

    insert into {ml}.training_runs (
        symbol_id, timeframe, horizon, run_date, as_of, trigger, version_id,
        status, ensemble_validation_accuracy, ensemble_validation_accuracy_se,
        code_version
    )
    select symbol_id, timeframe, horizon, as_of::date, as_of, 'manual',
        version_id, 'succeeded', 0.4, 0.02, ''
    from {ml}.ensembles
    cross join (values ('1d'), ('5d'), ('20d')) as horizons (horizon)
"""

FORECASTS = """
    insert into {ml}.forecasts (
        symbol_id, timeframe, horizon, horizon_bars, bar_number, closed_at,
        run_kind, run_name, issued_at, is_late, target_bar_number, target_at,
        probability_bearish, probability_neutral, probability_bullish,
        direction, confidence,
        climatology_bearish, climatology_neutral, climatology_bullish,
        member_probabilities, reference_close, expected_volatility,
        forecast_volatility, label_threshold, price_target,
        lower_50, upper_50, lower_80, upper_80, lower_95, upper_95, version_id
    )
    select
        versions.symbol_id, 'd1', horizons.horizon, horizons.bars,
        grid.bar_number, grid.closed_at, 'live', 'live', grid.closed_at, false,
        targets.bar_number, targets.closed_at, 0.3, 0.3, 0.4, 'BULLISH', 0.06,
        0.33, 0.34, 0.33, '{}', 100, 0.01, 0.01, 0.005, 100,
        99, 101, 98, 102, 97, 103, versions.version_id
    from {features}.bar_grid as grid
    cross join (values ('1d', 1), ('5d', 5), ('20d', 20))
        as horizons (horizon, bars)
    inner join {features}.bar_grid as targets
        on
            targets.timeframe = 'd1'
            and targets.bar_number = grid.bar_number + horizons.bars
    cross join {ml}.ensembles as versions
    where grid.timeframe = 'd1' and grid.bar_number < :n_sessions
    order by grid.closed_at, versions.symbol_id
"""

OUTCOMES = """
    insert into {forecasting}.forecast_outcomes (
        forecast_id, symbol_id, ticker, timeframe, horizon, horizon_bars,
        run_kind, run_name, is_late, version_id, closed_at, target_at,
        settled_at, settled_date, target_recorded_at, direction, outcome,
        is_hit, realized_return, label_threshold, log_loss,
        climatology_log_loss, brier_score, is_inside_50, is_inside_80,
        is_inside_95, expected_volatility, is_counted
    )
    select
        forecasts.forecast_id, symbols.symbol_id, symbols.ticker, timeframe,
        horizon, horizon_bars, run_kind, run_name, is_late, version_id,
        closed_at, target_at, target_at, target_at::date, target_at, direction,
        case when chance < 0.37 then 'BULLISH' else 'BEARISH' end,
        chance < 0.37, case when chance < 0.37 then 0.01 else -0.01 end,
        label_threshold, case when chance < 0.37 then 0.916 else 1.204 end,
        1.109, 0.7, true, true, true, expected_volatility, true
    from {ml}.forecasts as forecasts
    inner join {raw}.symbols as symbols
        on forecasts.symbol_id = symbols.symbol_id
    cross join lateral (select random() + 0 * forecast_id as chance) as drawn
    where target_bar_number < :n_sessions
    order by forecasts.target_at, symbols.symbol_id
"""

# Copies of one real bar: what is not named here is of no account to a check.
BAR_COLUMNS = {
    "symbol_id": "symbols.symbol_id",
    "ticker": "symbols.ticker",
    "bar_number": "grid.bar_number",
    "opened_at": "grid.opened_at",
    "closed_at": "grid.closed_at",
    "session_date": "grid.session_date",
}
BARS = """
    insert into {{features}}.bars ({columns})
    select {values}
    from (
        select * from {{features}}.bars where timeframe = 'd1' limit 1
    ) as model
    cross join {{features}}.bar_grid as grid
    cross join {{raw}}.symbols as symbols
    where
        grid.timeframe = 'd1'
        and grid.bar_number between :n_sessions - 25 and :n_sessions
    on conflict do nothing
"""
COLUMNS = """
    select column_name
    from information_schema.columns
    where table_schema = :schema and table_name = 'bars'
"""

PROCESSOR = """
    select processor_seconds as seconds
    from {ml}.job_runs
    where job = 'check-drift'
"""

QUERIES = {
    "evidence_one_series_ms": (
        "select * from {monitoring}.drift_evidence "
        "where ticker = 'S0042' and timeframe = 'd1'"
    ),
    "path_one_series_ms": (
        "select * from {monitoring}.evidence_path "
        "where ticker = 'S0042' and timeframe = 'd1'"
    ),
    "evidence_all_seconds": "select * from {monitoring}.drift_evidence",
}


def measure_daily_check(figures: Figures, *, n_series: int) -> None:
    """Write two years of a ledger, then check one day of it."""
    with (
        throwaway_settings() as settings,
        open_warehouse(settings) as warehouse,
    ):
        say(f"making the ledger of {n_series} series")
        make_ledger(warehouse, n_series)
        n_outcomes = count_rows(warehouse, "forecast_outcomes", "{forecasting}")
        say("adding up two years of evidence")
        started = time.perf_counter()
        run_dbt(warehouse, ["run", "--select", "evidence_streams"])
        figures.add("first_evidence_seconds", time.perf_counter() - started)
        for schema_name in ("ml", "forecasting", "features", "monitoring"):
            settle(warehouse, schema_name)
        checkpoint(warehouse)
        say("checking the last day")
        server_before = server_seconds(settings)
        started = time.perf_counter()
        peak, output = run_python(
            warehouse,
            [*CLI, "check-drift", "--json"],
            sample_seconds=MEMORY_SECONDS,
        )
        figures.add("daily_check_seconds", time.perf_counter() - started)
        figures.add("daily_check_mb", peak, "MB")
        figures.add(
            "daily_check_processor_seconds",
            float(read_frame(warehouse, PROCESSOR)["seconds"].iloc[0])
            + server_seconds(settings)
            - server_before,
        )
        n_settled = count_rows(warehouse, "forecast_outcomes", "{forecasting}")
        for name, query in QUERIES.items():
            scale = 1000 if name.endswith("_ms") else 1
            for _ in range(N_ASKED):
                started = time.perf_counter()
                read_frame(warehouse, query)
                seconds = time.perf_counter() - started
                figures.add(name, scale * seconds, "ms" if scale > 1 else "s")
        figures.notes.append(
            f"{len(json.loads(output))} series checked, {n_outcomes} outcomes "
            f"before, {n_settled - n_outcomes} on the day"
        )


def make_ledger(warehouse: Warehouse, n_series: int) -> None:
    """Write all that the check reads."""
    days = pd.bdate_range("2022-01-03", periods=N_SESSIONS + N_AHEAD)
    closes = (days + pd.Timedelta("21:00:00")).tz_localize("UTC")
    first = [f"S{number:04d}" for number in range(n_series)]
    with warehouse.begin() as connection:
        insert_frame(
            connection,
            schema.sessions,
            pd.DataFrame(
                {
                    "calendar": "XNYS",
                    "session_date": days,
                    "opened_at": closes - pd.Timedelta("6.5h"),
                    "closed_at": closes,
                }
            ),
        )
        insert_frame(
            connection,
            schema.symbols,
            pd.DataFrame(
                {
                    "ticker": first,
                    "calendar": "XNYS",
                    "listed_from": days[0],
                    "source": "made",
                }
            ),
        )
        batch_id = connection.execute(
            schema.ingest_batches.insert()
            .values(
                source="made",
                ingested_at=pd.Timestamp.now("UTC"),
                n_bars=N_SESSIONS,
                n_adjustments=0,
                n_rejected=0,
            )
            .returning(schema.ingest_batches.c.batch_id)
        ).scalar_one()
        symbol_id = connection.scalar(sa.select(schema.symbols.c.symbol_id))
        closing = 100 + np.sin(np.arange(N_SESSIONS))
        insert_frame(
            connection,
            schema.bars,
            pd.DataFrame(
                {
                    "symbol_id": symbol_id,
                    "batch_id": batch_id,
                    "timeframe": "d1",
                    "opened_at": closes[:N_SESSIONS] - pd.Timedelta("6.5h"),
                    "closed_at": closes[:N_SESSIONS],
                    "open": closing,
                    "high": closing + 1,
                    "low": closing - 1,
                    "close": closing,
                    "volume": 1e6,
                    "recorded_at": closes[:N_SESSIONS],
                    "is_backfill": True,
                    "ingested_at": pd.Timestamp.now("UTC"),
                    "source": "made",
                }
            ),
        )
    run_dbt(
        warehouse, ["build", "--exclude-resource-type", "unit_test", "test"]
    )
    columns = read_frame(
        warehouse, COLUMNS, {"schema": warehouse.settings.schema("features")}
    )["column_name"]
    bars = BARS.format(
        columns=", ".join(columns),
        values=", ".join(
            BAR_COLUMNS.get(name, f"model.{name}") for name in columns
        ),
    )
    for statement in (VERSIONS, FORECASTS, OUTCOMES, bars):
        with warehouse.begin() as connection:
            connection.execute(
                sa.text(warehouse.sql(statement)), {"n_sessions": N_SESSIONS}
            )
    for schema_name in ("ml", "forecasting", "features"):
        settle(warehouse, schema_name)
