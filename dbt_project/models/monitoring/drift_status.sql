{#- Two-sided 95%: the standard normal quantile at 0.975. -#}
{%- set z = 1.959963984540054 -%}

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

-- Wilson's interval, which stays inside 0 and 1 and has a width at 0 hits. It
-- begins at 0 there, which rounding would miss by some 1e-17 either way.
bounded as (

    select
        *,
        (accuracy + {{ z * z }} / (2 * n_effective))
        / (1 + {{ z * z }} / n_effective) as interval_center,
        {{ z }} / (1 + {{ z * z }} / n_effective)
        * sqrt(
            accuracy * (1 - accuracy) / n_effective
            + {{ z * z }} / (4 * n_effective * n_effective)
        ) as interval_half_width

    from completed

),

judged as (

    select
        bounded.symbol_id,
        bounded.ticker,
        bounded.timeframe,
        bounded.window_ends_at,
        bounded.n_predictions,
        bounded.n_effective,
        bounded.accuracy,
        case
            when bounded.accuracy > 0
                then bounded.interval_center - bounded.interval_half_width
            else bounded.accuracy
        end as accuracy_lower,
        case
            when bounded.accuracy < 1
                then bounded.interval_center + bounded.interval_half_width
            else bounded.accuracy
        end as accuracy_upper,
        bounded.baseline_accuracy,
        bounded.drift_margin,
        {{ drift_status('bounded.drift_margin', 'bounded.n_predictions') }}
            as status,
        bounded.last_days_n_predictions,
        bounded.last_days_accuracy,
        bounded.last_days_baseline_accuracy,
        bounded.last_days_drift_margin,
        {{ drift_status(
            'bounded.last_days_drift_margin',
            'bounded.last_days_n_predictions',
        ) }} as last_days_status,
        bounded.previous_n_predictions,
        bounded.previous_drift_margin,
        case
            when
                bounded.previous_n_predictions < thresholds.min_predictions
                then 'unknown'
            when
                {{ drift_margin(
                    'bounded.drift_margin', 'bounded.previous_drift_margin'
                ) }} <= thresholds.monitor_at
                then 'worsening'
            when
                {{ drift_margin(
                    'bounded.previous_drift_margin', 'bounded.drift_margin'
                ) }} <= thresholds.monitor_at
                then 'improving'
            else 'steady'
        end as trend

    from bounded

    cross join thresholds

),

-- An interval that holds the baseline says that chance alone could have done
-- it, which takes the advice one step down.
advised as (

    select
        *,
        case
            when status = 'insufficient_data' then cast(null as boolean)
            else status in ('alert', 'emergency')
        end as drift_detected,
        case
            when status = 'insufficient_data' then 'insufficient_data'
            when
                status = 'emergency' and accuracy_upper < baseline_accuracy
                then 'retrain_now'
            when
                status = 'emergency'
                or (status = 'alert' and accuracy_upper < baseline_accuracy)
                then 'schedule_retrain'
            when
                status in ('alert', 'monitor')
                or last_days_status in ('alert', 'emergency')
                then 'monitor_closely'
            else 'operating_normally'
        end as recommendation

    from judged

)

select * from advised
