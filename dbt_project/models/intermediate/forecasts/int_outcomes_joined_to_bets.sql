with

outcomes as (

    select
        forecast_id,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        closed_at,
        settled_at,
        version_id,
        is_hit,
        log_loss,
        climatology_log_loss

    from {{ ref('int_outcomes_narrowed_to_one_per_bar') }}

),

baselines as (

    select
        version_id,
        horizon,
        baseline_accuracy_lower

    from {{ ref('int_training_runs_reduced_to_baselines') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        closed_at

    from {{ ref('bar_grid') }}

),

rules as (

    select skill_bound from {{ ref('evidence_rules') }}

),

-- Forecasts over h bars overlap; every h-th of them do not.
measured as (

    select
        outcomes.forecast_id,
        outcomes.symbol_id,
        outcomes.ticker,
        outcomes.calendar,
        outcomes.timeframe,
        outcomes.horizon,
        outcomes.horizon_bars,
        outcomes.closed_at,
        outcomes.settled_at,
        outcomes.version_id,
        grid.bar_number % outcomes.horizon_bars as stream,
        rules.skill_bound,
        cast(case when outcomes.is_hit then 1 else 0 end as double precision)
            as hit,
        greatest(
            least(
                outcomes.climatology_log_loss - outcomes.log_loss,
                rules.skill_bound
            ),
            -rules.skill_bound
        ) as gain,
        {{ expected_hit_rate('baselines.baseline_accuracy_lower') }}
            as expected_hit_rate

    from outcomes

    inner join grid
        on
            outcomes.calendar = grid.calendar
            and outcomes.timeframe = grid.timeframe
            and outcomes.closed_at = grid.closed_at

    left join baselines
        on
            outcomes.version_id = baselines.version_id
            and outcomes.horizon = baselines.horizon

    cross join rules

),

staked as (

    select
        forecast_id,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        closed_at,
        settled_at,
        version_id,
        stream,
        {% for stake in skill_stakes() -%}
            {{ skill_bet('gain', 'skill_bound', stake) }}
                as skill_bet_{{ loop.index }},
        {% endfor -%}
        {% for loss in accuracy_losses() -%}
            {{ hits_bet('hit', 'expected_hit_rate', loss) }}
                as hits_bet_{{ loop.index }},
        {% endfor -%}
        gain,
        hit,
        expected_hit_rate

    from measured

)

select * from staked
