"""Series with a live version and newer bars that nothing was forecast from."""

from collections.abc import Mapping
from typing import Any

from python_ml.console.text_tables import some_names
from python_ml.monitoring.alerts.kind import AlertKind, Wording

# What is set aside is told by every job and counts only where nothing else is
# left. Where bars are old, data_stale says so: one alert a cause.
QUERY = """
    with
    series as (
        select
            symbols.symbol_id,
            symbols.ticker,
            symbols.calendar,
            spans.timeframe,
            min(spans.horizon) as horizon,
            min(spans.effective_at) as effective_at
        from {ml}.deployment_spans as spans
        inner join {raw}.symbols as symbols
            on spans.symbol_id = symbols.symbol_id
        where
            spans.superseded_at is null
            and symbols.delisted_at is null
            and symbols.deactivated_at is null
        group by
            symbols.symbol_id, symbols.ticker, symbols.calendar, spans.timeframe
    ),

    forecast as (
        select
            series.*,
            bars.closed_at as newest_closed_at,
            coalesce(
                (
                    select max(forecasts.closed_at)
                    from {ml}.forecasts as forecasts
                    where
                        forecasts.symbol_id = series.symbol_id
                        and forecasts.timeframe = series.timeframe
                        and forecasts.horizon = series.horizon
                        and forecasts.run_kind = 'live'
                ),
                series.effective_at
            ) as forecast_closed_at,
            exists (
                select 1
                from {ml}.quarantined_series as quarantined
                where
                    quarantined.symbol_id = series.symbol_id
                    and quarantined.timeframe = series.timeframe
                    and quarantined.released_at is null
            ) as is_set_aside
        from series
        cross join lateral (
            select observed.closed_at
            from {features}.bars as observed
            where
                observed.symbol_id = series.symbol_id
                and observed.timeframe = series.timeframe
            order by observed.bar_number desc
            limit 1
        ) as bars
    ),

    ends as (
        select distinct
            calendar,
            timeframe,
            forecast_closed_at,
            newest_closed_at
        from forecast
        where newest_closed_at > forecast_closed_at
    ),

    spans as (
        select
            ends.*,
            (
                select count(distinct grid.session_date)
                from {features}.bar_grid as grid
                where
                    grid.calendar = ends.calendar
                    and grid.timeframe = ends.timeframe
                    and grid.closed_at > ends.forecast_closed_at
                    and grid.closed_at <= ends.newest_closed_at
            ) as n_sessions
        from ends
    ),

    judged as (
        select
            forecast.*,
            coalesce(spans.n_sessions > :threshold, false) as is_lacking
        from forecast
        left join spans
            on
                forecast.calendar = spans.calendar
                and forecast.timeframe = spans.timeframe
                and forecast.forecast_closed_at = spans.forecast_closed_at
                and forecast.newest_closed_at = spans.newest_closed_at
    ),

    counted as (
        select
            calendar || ' ' || timeframe as subject,
            timeframe as alert_group,
            count(*) as n_series,
            count(*) filter (where is_set_aside) as n_set_aside,
            count(*) filter (
                where is_lacking and not is_set_aside
            ) as n_lacking,
            min(forecast_closed_at) filter (
                where is_lacking and not is_set_aside
            ) as lacking_since,
            max(forecast_closed_at) as last_closed_at,
            string_agg(ticker, ' ' order by ticker) filter (
                where is_lacking and not is_set_aside
            ) as tickers
        from judged
        group by calendar, timeframe
    )

    select
        subject,
        alert_group,
        cast(null as integer) as symbol_id,
        cast(coalesce(lacking_since, last_closed_at) as text) as cause,
        n_series,
        n_set_aside,
        n_lacking,
        coalesce(lacking_since, last_closed_at) as since,
        coalesce(tickers, '') as tickers
    from counted
    where n_lacking > 0 or n_set_aside = n_series
    order by subject
"""


def _describe(row: Mapping[str, Any]) -> Wording:
    n_series, since = row["n_series"], f"{row['since']:%Y-%m-%d %H:%M} UTC"
    if row["n_lacking"] == 0:
        message = (
            f"No {row['subject']} series is forecast: all {n_series} are set "
            f"aside, the last forecast is of {since}"
        )
        return Wording(message, "see why: swiftbolt forecast")
    return Wording(
        f"{row['n_lacking']} of {n_series} {row['subject']} series have bars "
        f"but no live forecast since {since}: "
        f"{some_names(row['tickers'].split())}",
        "see why and catch up: swiftbolt run",
    )


NO_FORECAST = AlertKind("no_forecast", QUERY, _describe)
