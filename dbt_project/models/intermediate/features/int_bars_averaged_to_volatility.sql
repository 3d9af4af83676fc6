-- The mean squared move of the last bars: the variance to expect of the next.
-- Null unless the window is whole and has moved at all.
{%- set window_bars = var('volatility_window_bars') | int(20) -%}
{%- set volatility_floor = var('volatility_floor') %}

with

bars as (

    select
        symbol_id,
        timeframe,
        bar_number,
        move

    from {{ ref('int_bars_measured') }}

),

averaged as (

    select
        symbol_id,
        timeframe,
        bar_number,
        {{ trailing_mean('move * move', window_bars) }} as mean_squared_move,
        {{ trailing_bars_are_whole(window_bars) }} as is_whole

    from bars

),

guarded as (

    select
        symbol_id,
        timeframe,
        bar_number,
        case
            when
                is_whole
                and mean_squared_move
                > {{ volatility_floor }} * {{ volatility_floor }}
                then mean_squared_move
        end as mean_squared_move

    from averaged

)

select * from guarded
