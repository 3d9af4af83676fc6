-- By the time of bars, not by the clock: what is due is due as of the last bar.
with

training_runs as (

    select
        job_run_id,
        symbol_id,
        timeframe,
        horizon,
        trigger,
        status,
        as_of,
        created_at

    from {{ ref('stg_ml__training_runs') }}

    where trigger not in ('weights', 'backtest')

),

promotions as (

    select
        job_run_id,
        timeframe,
        count(*) as n_judged,
        count(case when is_promoted then 1 end) as n_promoted

    from {{ ref('stg_ml__promotions') }}

    group by job_run_id, timeframe

),

series as (

    select * from {{ ref('int_series_live_looked_up_to_last_bars') }}

),

timeframes as (

    select timeframe from {{ ref('timeframes') }}

),

requests as (

    select
        symbol_id,
        timeframe,
        requested_at

    from {{ ref('stg_ml__retrain_requests') }}

    where status = 'open'

),

rules as (

    select * from {{ ref('retraining') }}

),

last_trainings as (

    select * from {{ ref('int_training_runs_narrowed_to_last') }}

),

live as (

    select
        series.symbol_id,
        series.timeframe,
        last_trainings.last_trained_as_of,
        last_trainings.last_trained_as_of
        + rules.due_every_days * interval '1 day' as due_at,
        series.last_bar_closed_at

    from series

    inner join rules
        on series.timeframe = rules.timeframe

    inner join last_trainings
        on
            series.symbol_id = last_trainings.symbol_id
            and series.timeframe = last_trainings.timeframe

),

due as (

    select
        timeframe,
        case when due_at <= last_bar_closed_at then 'overdue' else 'due' end
            as event,
        {{ utc_date('due_at') }} as event_date,
        count(*) as n_series

    from live

    group by
        timeframe,
        case when due_at <= last_bar_closed_at then 'overdue' else 'due' end,
        {{ utc_date('due_at') }}

),

requested as (

    select
        requests.timeframe,
        {{ utc_date('requests.requested_at') }} as event_date,
        count(*) as n_series

    from requests

    inner join timeframes
        on requests.timeframe = timeframes.timeframe

    group by requests.timeframe, {{ utc_date('requests.requested_at') }}

),

trained as (

    select
        job_run_id,
        timeframe,
        trigger,
        {{ utc_date('max(as_of)') }} as event_date,
        count(distinct symbol_id) as n_series,
        count(distinct case when status = 'failed' then symbol_id end)
            as n_failed,
        max(created_at) as recorded_at

    from training_runs

    group by job_run_id, timeframe, trigger

),

combined as (

    select
        timeframe,
        event_date,
        'trained' as event,
        trigger,
        job_run_id,
        n_series,
        n_failed,
        recorded_at

    from trained

    union all

    select
        timeframe,
        event_date,
        event,
        null as trigger,
        null as job_run_id,
        n_series,
        null as n_failed,
        null as recorded_at

    from due

    union all

    select
        timeframe,
        event_date,
        'requested' as event,
        'request' as trigger,
        null as job_run_id,
        n_series,
        null as n_failed,
        null as recorded_at

    from requested

),

judged as (

    select
        combined.timeframe,
        combined.event_date,
        combined.event,
        combined.trigger,
        combined.job_run_id,
        cast(combined.n_series as integer) as n_series,
        cast(combined.n_failed as integer) as n_failed,
        cast(promotions.n_judged as integer) as n_horizons_judged,
        cast(promotions.n_promoted as integer) as n_horizons_promoted,
        case
            when combined.event <> 'trained' then 'waits'
            when combined.n_failed = combined.n_series then 'failed'
            when promotions.n_judged is null then 'not judged'
            when promotions.n_promoted = 0 then 'refused'
            when promotions.n_promoted < promotions.n_judged
                then 'promoted in part'
            else 'promoted'
        end as result,
        combined.recorded_at

    from combined

    left join promotions
        on
            combined.job_run_id = promotions.job_run_id
            and combined.timeframe = promotions.timeframe

)

select * from judged
