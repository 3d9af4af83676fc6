with

outcomes as (

    select
        forecast_id,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        closed_at,
        is_hit,
        log_loss,
        climatology_log_loss,
        is_inside_80

    from {{ ref('int_outcomes_narrowed_to_one_per_bar') }}

),

forecasts as (

    select
        forecast_id,
        bar_number,
        trust

    from {{ ref('stg_ml__forecasts') }}

    where trust is not null

),

grid as (

    select
        calendar,
        timeframe,
        max(full_session_bars) as full_session_bars

    from {{ ref('bar_grid') }}

    group by calendar, timeframe

),

placed as (

    select
        outcomes.*,
        forecasts.trust,
        {{ market_block(
            'forecasts.bar_number',
            'outcomes.horizon_bars',
            'grid.full_session_bars',
        ) }} as block_number

    from outcomes

    inner join forecasts
        on outcomes.forecast_id = forecasts.forecast_id

    inner join grid
        on
            outcomes.calendar = grid.calendar
            and outcomes.timeframe = grid.timeframe

),

-- Rows of one block may depend on each other in any way.
blocks as (

    select
        calendar,
        timeframe,
        horizon,
        trust,
        block_number,
        max(horizon_bars) as horizon_bars,
        cast(count(*) as double precision) as n,
        count(case when is_hit then 1 end) as n_hits,
        count(case when is_inside_80 then 1 end) as n_inside,
        sum(log_loss) as losses,
        sum(climatology_log_loss) as climatology_losses

    from placed

    group by calendar, timeframe, horizon, trust, block_number

),

totalled as (

    select
        *,
        sum(losses) over cell
        / nullif(sum(climatology_losses) over cell, 0) as loss_ratio

    from blocks

    window cell as (partition by calendar, timeframe, horizon, trust)

),

judged as (

    select
        calendar,
        timeframe,
        horizon,
        max(horizon_bars) as horizon_bars,
        trust,
        cast(sum(n) as integer) as n,
        cast(count(*) as integer) as n_blocks,
        sum(n_hits) / sum(n) as accuracy,
        sum(n_inside) / sum(n) as coverage_80,
        1 - max(loss_ratio) as skill,
        case
            when count(*) > 1
                then
                    {{ guarded_sqrt(
                        'cast(count(*) as double precision)'
                        ~ ' / (count(*) - 1) * sum(power('
                        ~ 'losses - loss_ratio * climatology_losses, 2))'
                    ) }} / nullif(sum(climatology_losses), 0)
        end as skill_standard_error

    from totalled

    group by calendar, timeframe, horizon, trust

)

select * from judged
