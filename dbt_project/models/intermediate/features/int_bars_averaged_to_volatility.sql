-- The variance to expect of a bar at its own place and of a whole session: the
-- mean squared move of the last bars or, intraday, the session profile. Null
-- unless the window is whole.
{%- set window_bars = var('volatility_window_bars') | int(20) %}

with

bars as (

    select
        block_id,
        bar_number,
        adjusted_close,
        series_number,
        is_run_up,
        closed_at,
        full_session_bars,
        place_variance,
        profile_variance,
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

expected as (

    select
        series_number,
        bar_number,
        closed_at,
        adjusted_close,
        full_session_bars,
        batch_id,
        case
            when full_session_bars > 1 then place_variance
            when is_whole then mean_squared_move
        end as place_variance,
        case
            when full_session_bars > 1 then profile_variance
            when is_whole then mean_squared_move
        end as session_variance

    from averaged

    where not is_run_up

)

select * from expected
