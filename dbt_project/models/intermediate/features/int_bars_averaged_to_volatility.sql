-- The variance to expect of a bar at its own place and of a whole session: the
-- mean squared move of the last bars or, intraday, the session profile. Null
-- unless the window is whole and enough of it was observed.
{%- set window_bars = var('volatility_window_bars') | int(20) %}

with

bars as (

    select
        block_id,
        bar_number,
        observed_bar_number,
        adjusted_close,
        series_number,
        min_window_share,
        is_run_up,
        is_carried,
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
        {{ move_per_bar('adjusted_close') }} as move

    from bars

),

accumulated as (

    select
        *,
        {{ running_sum('move * move') }} as squared_moves,
        {{ running_count('not is_carried') }} as n_observed

    from measured

),

averaged as (

    select
        *,
        {{ trailing_sum('squared_moves', window_bars) }}
            as squared_moves_in_window,
        {{ trailing_sum('n_observed', window_bars) }} as n_observed_in_window,
        {{ trailing_bars_are_whole(window_bars) }} as has_no_long_hole

    from accumulated

),

weighed as (

    select
        *,
        -- A carried bar has no move of its own, so it counts in no mean.
        squared_moves_in_window / n_observed_in_window as mean_squared_move,
        has_no_long_hole
        and n_observed_in_window / {{ window_bars }}
        >= min_window_share as is_whole

    from averaged

    where not is_run_up and not is_carried

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

    from weighed

)

select * from expected
