-- The mean squared move of the last bars: the variance to expect of the next.
-- Null unless the window is whole and has moved at all.
{%- set window_bars = var('volatility_window_bars') | int(20) -%}
{%- set volatility_floor = var('volatility_floor') %}

with

bars as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        block_number,
        is_run_up,
        from_label_bar_number,
        bar_number,
        closed_at,
        adjusted_close,
        batch_id

    from {{ ref('int_bars_cut_into_blocks') }}

),

measured as (

    select
        *,
        {{ trailing_log_return('adjusted_close', 1) }} as move

    from bars

),

accumulated as (

    select
        *,
        {{ running_sum('move * move') }} as squared_moves

    from measured

),

averaged as (

    select
        *,
        {{ trailing_mean('squared_moves', window_bars) }} as mean_squared_move,
        {{ trailing_bars_are_whole(window_bars) }} as is_whole

    from accumulated

),

guarded as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        from_label_bar_number,
        bar_number,
        closed_at,
        adjusted_close,
        batch_id,
        case
            when
                is_whole
                and mean_squared_move
                > {{ volatility_floor }} * {{ volatility_floor }}
                then mean_squared_move
        end as mean_squared_move

    from averaged

    where not is_run_up

)

select * from guarded
