with

outcomes as (

    select * from {{ ref('int_outcomes_joined_to_baselines') }}

),

thresholds as (

    select * from {{ ref('drift_thresholds') }}

),

-- Every prediction weighs the same, so the baseline is weighted over horizons
-- and versions as the predictions are.
aggregated as (

    select
        symbol_id,
        ticker,
        timeframe,
        settled_date,
        cast(count(*) as integer) as n_predictions,
        avg(hit) as accuracy,
        avg(baseline_accuracy) as baseline_accuracy,
        max(settled_at) as last_settled_at

    from outcomes

    group by symbol_id, ticker, timeframe, settled_date

),

compared as (

    select
        *,
        {{ drift_margin('accuracy', 'baseline_accuracy') }} as drift_margin

    from aggregated

),

judged as (

    select
        compared.*,
        md5(
            cast(compared.symbol_id as text)
            || '|' || compared.timeframe
            || '|' || cast(compared.settled_date as text)
        ) as id,
        {{ drift_status('compared.drift_margin', 'compared.n_predictions') }}
            as status

    from compared

    cross join thresholds

),

flagged as (

    select
        *,
        case
            when status = 'insufficient_data' then cast(null as boolean)
            else status in ('alert', 'emergency')
        end as drift_detected

    from judged

),

-- `date` is the name people ask for.
reported as (

    select
        id,
        symbol_id,
        ticker,
        timeframe,
        settled_date as date,  -- noqa: RF04
        accuracy,
        n_predictions,
        baseline_accuracy,
        drift_margin,
        drift_detected,
        status,
        last_settled_at as created_at

    from flagged

)

select * from reported
