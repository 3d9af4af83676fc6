"""What the first page asks."""

from python_ml.web.content import Query

# The grid's daily bars stand for sessions where the reader may see no more than
# what dbt has built.
ANALYSTS_SESSIONS = Query(
    """
    select calendar, closed_at
    from {features}.bar_grid
    where timeframe = 'd1'
""",
    is_changed_by_jobs_alone=True,
)

SESSIONS = Query(
    """
    select calendar, closed_at
    from {raw}.sessions
    where calendar in (select calendar from {raw}.symbols)
""",
    otherwise=ANALYSTS_SESSIONS,
    is_changed_by_jobs_alone=True,
)

ANALYSTS_CHANGES = Query(
    """
    select
        ticker, timeframe, horizon, previous_direction, direction, has_turned,
        probability_distance, close_move, moved_by, previous_closed_at,
        closed_at
    from {monitoring}.forecast_changes
    order by has_turned desc, probability_distance desc
""",
    is_changed_by_jobs_alone=True,
)

CHANGES = Query(
    """
    select
        changes.ticker, symbols.calendar, changes.timeframe, changes.horizon,
        changes.previous_direction, changes.direction, changes.has_turned,
        changes.probability_distance, changes.close_move, changes.moved_by,
        changes.previous_closed_at, changes.closed_at
    from {monitoring}.forecast_changes as changes
    inner join {raw}.symbols as symbols using (symbol_id)
    order by changes.has_turned desc, changes.probability_distance desc
""",
    otherwise=ANALYSTS_CHANGES,
    is_changed_by_jobs_alone=True,
)

ANALYSTS_LATEST = Query(
    """
    select
        latest.ticker, latest.timeframe, latest.horizon, latest.direction,
        latest.probability_bearish, latest.probability_neutral,
        latest.probability_bullish, latest.confidence, latest.trust,
        latest.lower_80, latest.upper_80, latest.price_target,
        latest.target_at
    from {forecasting}.latest_forecasts as latest
    inner join {forecasting}.multi_horizon_summary as summary
        on
            latest.symbol_id = summary.symbol_id
            and latest.timeframe = summary.timeframe
            and latest.horizon = summary.base_horizon
    order by latest.confidence desc, latest.ticker, latest.timeframe
""",
    is_changed_by_jobs_alone=True,
)

LATEST = Query(
    """
    with
    base as (
        select calendar, timeframe, horizon
        from {features}.horizons
        where is_base
        union all
        select calendar, timeframe, horizon
        from {raw}.default_horizons as defaults
        where
            is_base
            and not exists (
                select 1
                from {features}.horizons as seeds
                where
                    seeds.calendar = defaults.calendar
                    and seeds.timeframe = defaults.timeframe
            )
    )
    select
        latest.ticker, symbols.calendar, latest.timeframe, latest.horizon,
        latest.direction, latest.probability_bearish,
        latest.probability_neutral, latest.probability_bullish,
        latest.confidence, latest.trust, latest.lower_80, latest.upper_80,
        latest.price_target, latest.target_at
    from {forecasting}.latest_forecasts as latest
    inner join {raw}.symbols as symbols using (symbol_id)
    inner join base
        on
            base.calendar = symbols.calendar
            and base.timeframe = latest.timeframe
            and base.horizon = latest.horizon
    order by latest.confidence desc, latest.ticker, latest.timeframe
""",
    otherwise=ANALYSTS_LATEST,
    is_changed_by_jobs_alone=True,
)

JOBS = Query("""
    select
        job_run_id, job, status, started_at, duration_seconds, peak_memory_mb,
        counts, error_message
    from {ml}.job_runs
    order by job_run_id desc
    limit 30
""")

COSTS = Query("""
    select
        job, n_runs, n_failed, mean_minutes, longest_minutes,
        mean_processor_minutes, peak_memory_mb, minutes_in_30_days,
        price_in_30_days, currency, is_within_budget, last_started_at
    from {monitoring}.job_costs
    order by job
""")

ALERTS = Query("""
    select
        severity, subject, message, advice, state, n_seen, first_seen_at,
        last_seen_at
    from {ml}.alerts
    where state <> 'resolved'
    order by
        case severity when 'critical' then 0 else 1 end,
        first_seen_at
""")

ALERT_HISTORY = Query("""
    select
        severity, subject, message, state, n_seen, first_seen_at,
        last_seen_at, resolved_at, changed_by, note
    from {ml}.alerts
    order by first_seen_at desc
    limit 200
""")
