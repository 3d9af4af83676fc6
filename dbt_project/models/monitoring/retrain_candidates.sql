with

series as (

    select * from {{ ref('int_series_live_looked_up_to_last_bars') }}

),

evidence as (

    select
        symbol_id,
        timeframe,
        horizon,
        test,
        is_alarm,
        is_discovery,
        alarm_since

    from {{ ref('drift_evidence') }}

    where is_alarm or is_discovery

),

judgements as (

    select
        symbol_id,
        ticker,
        timeframe,
        drift_margin

    from {{ ref('drift_status') }}

),

trainings as (

    select * from {{ ref('int_training_runs_narrowed_to_last') }}

),

requests as (

    select
        symbol_id,
        timeframe

    from {{ ref('stg_ml__retrain_requests') }}

    where status = 'open'

),

rules as (

    select * from {{ ref('retraining') }}

),

live as (

    select
        series.symbol_id,
        series.ticker,
        series.timeframe,
        trainings.last_trained_as_of,
        series.last_bar_closed_at,
        rules.expires_after_days,
        rules.cooldown_days,
        rules.accuracy_loss

    from series

    inner join rules
        on series.timeframe = rules.timeframe

    left join trainings
        on
            series.symbol_id = trainings.symbol_id
            and series.timeframe = trainings.timeframe

),

-- Kinds in the order in which they are told, where several hold.
asking as (

    select
        live.symbol_id,
        live.timeframe,
        1 as preference,
        'evidence' as kind,
        evidence.test || ' of ' || evidence.horizon
        || ' stands out since '
        || cast({{ utc_date('evidence.alarm_since') }} as text) as reason

    from live

    inner join evidence
        on
            live.symbol_id = evidence.symbol_id
            and live.timeframe = evidence.timeframe

    where evidence.is_discovery

    union all

    select
        live.symbol_id,
        live.timeframe,
        2 as preference,
        'accuracy_loss' as kind,
        'accuracy is '
        || cast(cast(-100 * judgements.drift_margin as decimal(5, 1)) as text)
        || ' points below what was expected, and ' || evidence.test || ' of '
        || evidence.horizon || ' is an alarm since '
        || cast({{ utc_date('evidence.alarm_since') }} as text) as reason

    from live

    inner join judgements
        on
            live.symbol_id = judgements.symbol_id
            and live.ticker = judgements.ticker
            and live.timeframe = judgements.timeframe

    inner join evidence
        on
            live.symbol_id = evidence.symbol_id
            and live.timeframe = evidence.timeframe

    where
        evidence.is_alarm
        and judgements.drift_margin <= -live.accuracy_loss

    union all

    select
        live.symbol_id,
        live.timeframe,
        3 as preference,
        'pooled_evidence' as kind,
        evidence.test || ' of ' || evidence.horizon || ' over all series is an '
        || 'alarm since '
        || cast({{ utc_date('evidence.alarm_since') }} as text) as reason

    from live

    inner join evidence
        on
            evidence.symbol_id is null
            and live.timeframe = evidence.timeframe

    where evidence.is_alarm

    union all

    select
        live.symbol_id,
        live.timeframe,
        4 as preference,
        'expired' as kind,
        'it was last trained as of '
        || cast({{ utc_date('live.last_trained_as_of') }} as text) as reason

    from live

    where
        live.last_trained_as_of
        < live.last_bar_closed_at - live.expires_after_days * interval '1 day'

),

ordered as (

    select
        *,
        row_number() over (
            partition by symbol_id, timeframe
            order by preference asc, reason asc
        ) as place

    from asking

),

reported as (

    select
        live.symbol_id,
        live.ticker,
        live.timeframe,
        ordered.kind,
        ordered.reason,
        live.last_trained_as_of,
        live.last_bar_closed_at,
        requests.symbol_id is not null as has_open_request,
        coalesce(
            live.last_trained_as_of
            > live.last_bar_closed_at - live.cooldown_days * interval '1 day',
            false
        ) as is_cooling_down

    from live

    inner join ordered
        on
            live.symbol_id = ordered.symbol_id
            and live.timeframe = ordered.timeframe
            and ordered.place = 1

    left join requests
        on
            live.symbol_id = requests.symbol_id
            and live.timeframe = requests.timeframe

)

select * from reported
