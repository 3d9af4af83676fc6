-- Every moving window that a feature needs, one column each.
{%- set longest_bars = var('longest_lookback_bars') | int(60) -%}
{%- set volatility_window_bars = var('volatility_window_bars') | int(20) %}

with

bars as (

    select
        *,
        -- Garman and Klass (1980), estimator 7 without its cross terms.
        0.5 * squared_range
        - (2 * ln(2.0) - 1) * power(body, 2) as garman_klass_variance

    from {{ ref('int_bars_measured') }}

),

windowed as (

    select
        *,
        {{ trailing_value('log_close', 5) }} as log_close_5_ago,
        {{ trailing_value('log_close', 20) }} as log_close_20_ago,
        {{ trailing_value('log_close', 60) }} as log_close_60_ago,
        {{ trailing_mean('move * move', 5) }} as mean_squared_move_5,
        {{ trailing_mean('move * move', volatility_window_bars) }}
            as mean_squared_move,
        {{ trailing_mean('move * move', 20) }} as mean_squared_move_20,
        {{ trailing_mean('move * move', 60) }} as mean_squared_move_60,
        {{ trailing_mean('abs(move)', 5) }} as mean_absolute_move_5,
        {{ trailing_mean('squared_range', 5) }} as mean_squared_range_5,
        {{ trailing_mean('squared_range', 20) }} as mean_squared_range_20,
        {{ trailing_mean('garman_klass_variance', 5) }}
            as mean_garman_klass_variance_5,
        {{ trailing_mean('garman_klass_variance', 20) }}
            as mean_garman_klass_variance_20,
        {{ trailing_mean('adjusted_close', 5) }} as mean_close_5,
        {{ trailing_mean('adjusted_close', 20) }} as mean_close_20,
        {{ trailing_mean('adjusted_close', 60) }} as mean_close_60,
        {{ trailing_maximum('adjusted_high', 20) }} as highest_high_20,
        {{ trailing_minimum('adjusted_low', 20) }} as lowest_low_20,
        {{ trailing_maximum('adjusted_high', 60) }} as highest_high_60,
        {{ trailing_minimum('adjusted_low', 60) }} as lowest_low_60,
        {{ trailing_mean('greatest(move, 0)', 14) }} as mean_gain_14,
        {{ trailing_mean('abs(move)', 14) }} as mean_absolute_move_14,
        {{ trailing_slope('log_close', 20) }} as slope_20,
        {{ trailing_mean('adjusted_volume', 20) }} as mean_volume_20,
        {{ trailing_bars_are_whole(volatility_window_bars) }}
            as is_volatility_window_whole,
        {{ trailing_bars_are_whole(longest_bars) }} as is_longest_window_whole

    from bars

)

select * from windowed
