-- Only rows that count as in time by their own word.
with

forecasts as (

    select
        forecast_id,
        symbol_id,
        job_run_id,
        timeframe,
        horizon,
        closed_at,
        issued_at,
        written_at,
        is_late

    from {{ ref('stg_ml__forecasts') }}

    where
        run_kind = 'live'
        and not is_recorded_late

),

job_runs as (

    select
        job_run_id,
        job,
        started_at

    from {{ ref('stg_ml__job_runs') }}

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

-- What was seen of time counts until somebody says that it was wrong.
counted_by_acceptance as (

    select
        job_run_id,
        started_at,
        sum(case when job = 'accept_clock' then 1 else 0 end) over (
            order by job_run_id asc
            rows between unbounded preceding and current row
        ) as n_accepted

    from job_runs

),

-- Time does not run backwards: it is no earlier than an earlier job began.
known as (

    select
        job_run_id,
        max(started_at) over (
            partition by n_accepted
            order by job_run_id asc
            rows between unbounded preceding and current row
        ) as known_at

    from counted_by_acceptance

),

judged as (

    select
        forecasts.forecast_id,
        forecasts.symbol_id,
        symbols.ticker,
        forecasts.timeframe,
        forecasts.horizon,
        forecasts.closed_at,
        forecasts.issued_at,
        forecasts.written_at,
        known.known_at,
        forecasts.is_late as is_impossible,
        coalesce(
            forecasts.issued_at
            < {{ plus_minutes('known.known_at', -clock_tolerance()) }},
            false
        ) as is_before_known

    from forecasts

    inner join symbols
        on forecasts.symbol_id = symbols.symbol_id

    left join known
        on forecasts.job_run_id = known.job_run_id

),

violations as (

    select * from judged

    where
        is_impossible
        or is_before_known

),

unaccepted as (

    {{ without_exceptions(
        'audit_forecast_issued_by_wrong_clock', 'violations'
    ) }}

)

select * from unaccepted
