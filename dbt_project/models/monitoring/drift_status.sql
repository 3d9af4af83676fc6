with

deployments as (

    select
        symbol_id,
        timeframe

    from {{ ref('stg_ml__deployment_spans') }}

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

timeframes as (

    select timeframe from {{ ref('timeframes') }}

),

thresholds as (

    select * from {{ ref('drift_thresholds') }}

),

outcomes as (

    select * from {{ ref('int_outcomes_ranked_to_windows') }}

),

deployed_series as (

    select distinct
        deployments.symbol_id,
        symbols.ticker,
        deployments.timeframe

    from deployments

    inner join symbols
        on deployments.symbol_id = symbols.symbol_id

    inner join timeframes
        on deployments.timeframe = timeframes.timeframe

),

-- Forecasts over h bars made at consecutive bars share h - 1 of them, so n of
-- them count as n / h. Where horizons are mixed, every forecast has the same
-- say in the accuracy, so its long ones decide its variance: h is their mean.
-- Summing 1 / h would have the short ones stand for the long.
aggregated as (

    select
        symbol_id,
        ticker,
        timeframe,
        max(settled_at) as window_ends_at,
        count(case when is_in_last_predictions then 1 end) as n_predictions,
        avg(case when is_in_last_predictions then hit end) as accuracy,
        avg(case when is_in_last_predictions then baseline_accuracy end)
            as baseline_accuracy,
        avg(
            case
                when is_in_last_predictions
                    then cast(horizon_bars as double precision)
            end
        ) as mean_horizon_bars,
        count(case when is_in_previous_predictions then 1 end)
            as previous_n_predictions,
        avg(case when is_in_previous_predictions then hit end)
            as previous_accuracy,
        avg(case when is_in_previous_predictions then baseline_accuracy end)
            as previous_baseline_accuracy,
        count(case when is_in_last_days then 1 end)
            as last_days_n_predictions,
        avg(case when is_in_last_days then hit end) as last_days_accuracy,
        avg(case when is_in_last_days then baseline_accuracy end)
            as last_days_baseline_accuracy

    from outcomes

    group by symbol_id, ticker, timeframe

),

-- A deployed series of which nothing has settled yet has its row too.
completed as (

    select
        deployed_series.symbol_id,
        deployed_series.ticker,
        deployed_series.timeframe,
        aggregated.window_ends_at,
        aggregated.accuracy,
        aggregated.baseline_accuracy,
        aggregated.last_days_accuracy,
        aggregated.last_days_baseline_accuracy,
        cast(coalesce(aggregated.n_predictions, 0) as integer)
            as n_predictions,
        cast(coalesce(aggregated.previous_n_predictions, 0) as integer)
            as previous_n_predictions,
        cast(coalesce(aggregated.last_days_n_predictions, 0) as integer)
            as last_days_n_predictions,
        case
            when aggregated.n_predictions < aggregated.mean_horizon_bars then 1
            else aggregated.n_predictions / aggregated.mean_horizon_bars
        end as n_effective,
        {{ drift_margin(
            'aggregated.accuracy', 'aggregated.baseline_accuracy'
        ) }} as drift_margin,
        {{ drift_margin(
            'aggregated.previous_accuracy',
            'aggregated.previous_baseline_accuracy',
        ) }} as previous_drift_margin,
        {{ drift_margin(
            'aggregated.last_days_accuracy',
            'aggregated.last_days_baseline_accuracy',
        ) }} as last_days_drift_margin

    from deployed_series

    left join aggregated
        on
            deployed_series.symbol_id = aggregated.symbol_id
            and deployed_series.ticker = aggregated.ticker
            and deployed_series.timeframe = aggregated.timeframe

),

judged as (

    select
        completed.symbol_id,
        completed.ticker,
        completed.timeframe,
        completed.window_ends_at,
        completed.n_predictions,
        completed.n_effective,
        completed.accuracy,
        {{ wilson_end('completed.accuracy', 'completed.n_effective', 'lower') }}
            as accuracy_lower,
        {{ wilson_end('completed.accuracy', 'completed.n_effective', 'upper') }}
            as accuracy_upper,
        completed.baseline_accuracy,
        completed.drift_margin,
        {{ drift_status('completed.drift_margin', 'completed.n_predictions') }}
            as status,
        completed.last_days_n_predictions,
        completed.last_days_accuracy,
        completed.last_days_baseline_accuracy,
        completed.last_days_drift_margin,
        {{ drift_status(
            'completed.last_days_drift_margin',
            'completed.last_days_n_predictions',
        ) }} as last_days_status,
        completed.previous_n_predictions,
        completed.previous_drift_margin,
        case
            when
                completed.previous_n_predictions < thresholds.min_predictions
                then 'unknown'
            when
                {{ drift_margin(
                    'completed.drift_margin', 'completed.previous_drift_margin'
                ) }} <= thresholds.monitor_at
                then 'worsening'
            when
                {{ drift_margin(
                    'completed.previous_drift_margin', 'completed.drift_margin'
                ) }} <= thresholds.monitor_at
                then 'improving'
            else 'steady'
        end as trend

    from completed

    cross join thresholds

),

flagged as (

    select
        *,
        {{ drift_detected('status', 'accuracy_upper', 'baseline_accuracy') }}
            as drift_detected

    from judged

),

-- An interval that holds the baseline says that chance alone could have done
-- it: then there is nothing to retrain for yet.
advised as (

    select
        *,
        {{ drift_reading('status', 'drift_detected') }} as reading,
        case
            when status = 'insufficient_data' then 'insufficient_data'
            when status = 'emergency' and drift_detected then 'retrain_now'
            when status = 'alert' and drift_detected then 'schedule_retrain'
            when
                status <> 'normal'
                or last_days_status in ('alert', 'emergency')
                then 'monitor_closely'
            else 'operating_normally'
        end as recommendation

    from flagged

)

select * from advised
