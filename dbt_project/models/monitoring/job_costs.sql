with

runs as (

    select * from {{ ref('stg_ml__job_runs') }}

),

budgets as (

    select * from {{ ref('job_budgets') }}

),

rates as (

    select * from {{ ref('job_rates') }}

),

last_runs as (

    select max(started_at) as started_at

    from runs

),

-- A month by the records and not by the clock, so that the view says the same
-- whenever it is read.
recent as (

    select runs.*

    from runs

    cross join last_runs

    where
        runs.started_at
        > {{ plus_minutes('last_runs.started_at', '-30 * 24 * 60') }}
        and runs.finished_at is not null

),

summed as (

    select
        job,
        count(*) as n_runs,
        count(case when status = 'failed' then 1 end) as n_failed,
        avg(duration_seconds) / 60 as mean_minutes,
        max(duration_seconds) / 60 as longest_minutes,
        avg(processor_seconds) / 60 as mean_processor_minutes,
        max(peak_memory_mb) as peak_memory_mb,
        sum(duration_seconds) / 60 as minutes_in_30_days,
        max(started_at) as last_started_at

    from recent

    group by job

),

priced as (

    select
        summed.*,
        summed.minutes_in_30_days / 60 * rates.price_per_hour
            as price_in_30_days,
        rates.currency,
        budgets.runs_a_month as budget_runs_a_month,
        budgets.budget_minutes_from,
        budgets.budget_minutes_to,
        summed.mean_minutes <= budgets.budget_minutes_to as is_within_budget,
        budgets.runs_a_month
        * summed.mean_minutes
        / 60
        * rates.price_per_hour as price_a_month_on_schedule

    from summed

    cross join rates

    left join budgets
        on summed.job = budgets.job

)

select * from priced
