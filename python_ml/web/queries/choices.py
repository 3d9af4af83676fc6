"""What there is to choose from, and whether anything has changed."""

from python_ml.web.content import Query

# For who may read what dbt has built and nothing else.
ANALYSTS_SYMBOLS = Query("""
    select ticker, calendar, bool_or(status = 'forecast') as is_forecast
    from {monitoring}.series_health
    group by ticker, calendar
    order by ticker
""")

ANALYSTS_SERIES = Query("""
    select
        health.timeframe,
        horizons.horizon,
        horizons.horizon_bars,
        horizons.is_base
    from {monitoring}.series_health as health
    inner join {features}.horizons as horizons
        on
            horizons.calendar = health.calendar
            and horizons.timeframe = health.timeframe
    where health.ticker = :symbol
    order by health.timeframe_order desc, horizons.horizon_bars
""")

SYMBOLS = Query(
    """
    select
        symbols.ticker,
        symbols.calendar,
        exists (
            select 1
            from {ml}.forecasts as forecasts
            where forecasts.symbol_id = symbols.symbol_id
        ) as is_forecast
    from {raw}.symbols as symbols
    where symbols.deactivated_at is null
    order by symbols.ticker
""",
    otherwise=ANALYSTS_SYMBOLS,
)

# A calendar's own rows of the seed count before the defaults.
SERIES = Query(
    """
    with
    horizons as (
        select calendar, timeframe, horizon, horizon_bars, is_base
        from {features}.horizons
        union all
        select
            defaults.calendar, defaults.timeframe, defaults.horizon,
            defaults.horizon_bars, defaults.is_base
        from {raw}.default_horizons as defaults
        where not exists (
            select 1
            from {features}.horizons as seeds
            where
                seeds.calendar = defaults.calendar
                and seeds.timeframe = defaults.timeframe
        )
    )
    select
        timeframes.timeframe,
        horizons.horizon,
        horizons.horizon_bars,
        horizons.is_base
    from {raw}.symbols as symbols
    cross join {features}.timeframes as timeframes
    inner join horizons
        on
            horizons.calendar = symbols.calendar
            and horizons.timeframe = timeframes.timeframe
    where
        symbols.ticker = :symbol
        and exists (
            select 1
            from {features}.bars as bars
            where
                bars.symbol_id = symbols.symbol_id
                and bars.timeframe = timeframes.timeframe
        )
    order by timeframes.sort_order desc, horizons.horizon_bars
""",
    otherwise=ANALYSTS_SERIES,
)

# Every command that changes something leaves a row, and ends it; one that was
# killed left none for good.
STATE = Query("""
    select
        coalesce(
            max(job_run_id) || ':' || count(finished_at) || ':'
            || coalesce(cast(max(finished_at) as text), ''),
            'none'
        ) as state,
        coalesce(
            bool_or(
                finished_at is null
                and started_at > now() - interval '1 day'
            ),
            false
        ) as is_changing
    from (
        select job_run_id, started_at, finished_at
        from {ml}.job_runs
        order by job_run_id desc
        limit 50
    ) as newest
""")
