{%- set levels = [50, 80, 95] -%}

with

runs as (

    select * from {{ ref('stg_ml__backtest_runs') }}

),

steps as (

    select * from {{ ref('stg_ml__backtest_steps') }}

),

outcomes as (

    select
        run_name,
        settled_at,
        closed_at,
        is_hit,
        log_loss,
        {% for level in levels -%}
            is_inside_{{ level }},
        {% endfor -%}
        climatology_log_loss

    from {{ ref('forecast_outcomes') }}

    where run_kind = 'backtest'

),

-- Series move together and forecasts of neighbouring days share their moves, so
-- a month of all series is one observation.
blocks as (

    select
        run_name,
        cast(
            extract(year from {{ utc_date('closed_at') }}) * 12
            + extract(month from {{ utc_date('closed_at') }})
            as integer
        ) as month_number,
        cast(count(*) as double precision) as n,
        sum(case when is_hit then 1.0 else 0.0 end) as hits,
        sum(log_loss) as losses,
        sum(climatology_log_loss) as climatology_losses,
        {% for level in levels -%}
            sum(case when is_inside_{{ level }} then 1.0 else 0.0 end)
                as inside_{{ level }},
        {% endfor -%}
        max(settled_at) as last_settled_at

    from outcomes

    group by
        run_name,
        cast(
            extract(year from {{ utc_date('closed_at') }}) * 12
            + extract(month from {{ utc_date('closed_at') }})
            as integer
        )

),

totals as (

    select
        run_name,
        count(*) as n_blocks,
        sum(n) as n,
        sum(hits) as hits,
        sum(losses) as losses,
        nullif(sum(climatology_losses), 0) as climatology_losses,
        {% for level in levels -%}
            sum(inside_{{ level }}) as inside_{{ level }},
        {% endfor -%}
        max(last_settled_at) as last_settled_at

    from blocks

    group by run_name

),

-- By the delta method for a ratio of sums, with whole blocks.
influences as (

    select
        blocks.run_name,
        sum(
            power(
                blocks.losses
                - totals.losses / totals.climatology_losses
                * blocks.climatology_losses,
                2
            )
        ) as influence_squared

    from blocks

    inner join totals
        on blocks.run_name = totals.run_name

    group by blocks.run_name

),

work as (

    select
        run_name,
        sum(case when step = 'retrain' then 1 else 0 end) as n_retrains,
        sum(case when step = 'weights' then 1 else 0 end)
            as n_weight_updates,
        sum(case when step = 'forecast' then n_done else 0 end)
            as n_forecasts,
        sum(processor_seconds) / 60 as processor_minutes,
        max(peak_memory_mb) as peak_memory_mb

    from steps

    group by run_name

),

measured as (

    select
        runs.run_name,
        runs.policy,
        runs.from_date,
        runs.to_date,
        runs.retrain,
        runs.weights,
        cast(coalesce(work.n_forecasts, 0) as integer) as n_forecasts,
        cast(coalesce(totals.n, 0) as integer) as n_settled,
        1 - totals.losses / totals.climatology_losses as skill,
        case
            when totals.n_blocks > 1
                then
                    {{ guarded_sqrt(
                        'cast(totals.n_blocks as double precision)'
                        ~ ' / (totals.n_blocks - 1)'
                        ~ ' * influences.influence_squared'
                    ) }} / totals.climatology_losses
        end as skill_standard_error,
        totals.hits / totals.n as accuracy,
        {% for level in levels -%}
            totals.inside_{{ level }} / totals.n as coverage_{{ level }},
        {% endfor -%}
        cast(coalesce(work.n_retrains, 0) as integer) as n_retrains,
        cast(coalesce(work.n_weight_updates, 0) as integer)
            as n_weight_updates,
        coalesce(work.processor_minutes, 0) as processor_minutes,
        work.peak_memory_mb,
        runs.status,
        totals.last_settled_at,
        runs.created_at,
        runs.finished_at,
        runs.code_version

    from runs

    left join work
        on runs.run_name = work.run_name

    left join totals
        on runs.run_name = totals.run_name

    left join influences
        on runs.run_name = influences.run_name

)

select * from measured
