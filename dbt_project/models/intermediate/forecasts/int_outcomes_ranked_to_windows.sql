with

recent_outcomes as (

    select * from {{ ref('int_outcomes_cut_to_recent') }}

),

baselines as (

    select
        version_id,
        horizon,
        baseline_accuracy

    from {{ ref('int_training_runs_reduced_to_baselines') }}

),

thresholds as (

    select
        window_days,
        window_predictions

    from {{ ref('drift_thresholds') }}

),

outcomes as (

    select
        recent_outcomes.*,
        cast(
            case when recent_outcomes.is_hit then 1 else 0 end
            as double precision
        ) as hit,
        baselines.baseline_accuracy

    from recent_outcomes

    left join baselines
        on
            recent_outcomes.version_id = baselines.version_id
            and recent_outcomes.horizon = baselines.horizon

),

-- Windows end with the series' own last settlement, not with the clock: the
-- same outcomes give the same answer on any day.
ranked as (

    select
        *,
        row_number() over (
            partition by symbol_id, ticker, timeframe
            order by
                settled_at asc,
                horizon_bars asc,
                closed_at asc
        ) as place,
        count(*) over (
            partition by symbol_id, ticker, timeframe
        ) as n_outcomes,
        max(settled_date) over (
            partition by symbol_id, ticker, timeframe
        ) as last_settled_date

    from outcomes

),

-- Counted from the end without a descending window, which could look ahead.
counted as (

    select
        *,
        n_outcomes - place + 1 as recency

    from ranked

),

windowed as (

    select
        counted.forecast_id,
        counted.symbol_id,
        counted.ticker,
        counted.timeframe,
        counted.horizon,
        counted.horizon_bars,
        counted.settled_at,
        counted.settled_date,
        counted.hit,
        counted.baseline_accuracy,
        counted.recency,
        counted.recency <= thresholds.window_predictions
            as is_in_last_predictions,
        counted.recency > thresholds.window_predictions
        and counted.recency <= 2 * thresholds.window_predictions
            as is_in_previous_predictions,
        cast(counted.settled_date as timestamp)
        > cast(counted.last_settled_date as timestamp)
        - thresholds.window_days * interval '1 day' as is_in_last_days

    from counted

    cross join thresholds

)

select * from windowed
