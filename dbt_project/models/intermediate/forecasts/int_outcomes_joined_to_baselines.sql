with

outcomes as (

    select * from {{ ref('int_outcomes_narrowed_to_one_per_bar') }}

),

baselines as (

    select
        version_id,
        horizon,
        baseline_accuracy

    from {{ ref('int_training_runs_reduced_to_baselines') }}

),

joined as (

    select
        outcomes.forecast_id,
        outcomes.symbol_id,
        outcomes.ticker,
        outcomes.timeframe,
        outcomes.horizon,
        outcomes.horizon_bars,
        outcomes.closed_at,
        outcomes.settled_at,
        outcomes.settled_date,
        outcomes.version_id,
        cast(case when outcomes.is_hit then 1 else 0 end as double precision)
            as hit,
        baselines.baseline_accuracy

    from outcomes

    left join baselines
        on
            outcomes.version_id = baselines.version_id
            and outcomes.horizon = baselines.horizon

)

select * from joined
