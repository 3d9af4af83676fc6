-- Features of a series' own bars. Moves and distances are in units of the
-- volatility to expect over as many bars; nothing carries the scale of a price.
-- Whatever divides by nothing is null and makes the row unusable later.
--
-- All steps stand in one statement, because between views the order of the rows
-- would be lost and sorted anew for each.
{%- set longest_bars = var('longest_lookback_bars') | int(60) -%}
{%- set volatility_window_bars = var('volatility_window_bars') | int(20) -%}
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
        from_bar_number,
        bar_number,
        session_date,
        closed_at,
        close,
        adjusted_open,
        adjusted_high,
        adjusted_low,
        adjusted_close,
        adjusted_volume,
        higher_timeframe,
        higher_bar_number,
        max_recorded_at,
        batch_id

    from {{ ref('int_bars_cut_into_blocks') }}

),

-- What one bar says by itself and against the bar before it, in log prices.
measured as (

    select
        *,
        ln(adjusted_close) as log_close,
        {{ trailing_log_return('adjusted_close', 1) }} as move,
        ln(
            adjusted_open / {{ trailing_value('adjusted_close', 1) }}
        ) as gap,
        ln(adjusted_close / adjusted_open) as body,
        ln(
            adjusted_high / greatest(adjusted_open, adjusted_close)
        ) as upper_shadow,
        ln(
            least(adjusted_open, adjusted_close) / adjusted_low
        ) as lower_shadow,
        power(ln(adjusted_high / adjusted_low), 2) as squared_range

    from bars

),

shaped as (

    select
        *,
        -- Garman and Klass (1980), estimator 7 without its cross terms.
        0.5 * squared_range
        - (2 * ln(2.0) - 1) * power(body, 2) as garman_klass_variance,
        -- Small numbers keep the digits of the slope.
        bar_number - block_number * {{ var('block_bars') }} as place_in_block

    from measured

),

-- Running sums along each block, and extremes of five bars: the pieces that
-- every longer window is put together from.
accumulated as (

    select
        *,
        {{ running_sum('move * move') }} as squared_moves,
        {{ running_sum('abs(move)') }} as absolute_moves,
        {{ running_sum('greatest(move, 0)') }} as gains,
        {{ running_sum('squared_range') }} as squared_ranges,
        {{ running_sum('garman_klass_variance') }} as garman_klass_variances,
        {{ running_sum('adjusted_close') }} as closes,
        {{ running_sum('adjusted_volume') }} as volumes,
        {{ running_sum('log_close') }} as log_closes,
        {{ running_sum('place_in_block * log_close') }} as placed_log_closes,
        {{ extreme_of_5('max', 'adjusted_high') }} as highest_high_5,
        {{ extreme_of_5('min', 'adjusted_low') }} as lowest_low_5,
        {{ extreme_of_5('max', 'max_recorded_at') }} as last_recorded_at_5

    from shaped

),

-- Every moving window that a feature needs, one column each.
windowed as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        is_run_up,
        from_bar_number,
        block_number,
        bar_number,
        place_in_block,
        session_date,
        closed_at,
        close,
        adjusted_close,
        adjusted_volume,
        higher_timeframe,
        higher_bar_number,
        -- Of all bars that the longest window looks at.
        greatest(
            {{ trailing_extreme('greatest', 'last_recorded_at_5', 5, 12) }},
            {{ trailing_value('max_recorded_at', longest_bars) }}
        ) as max_recorded_at,
        batch_id,
        log_close,
        move,
        gap,
        body,
        upper_shadow,
        lower_shadow,
        {{ trailing_value('log_close', 5) }} as log_close_5_ago,
        {{ trailing_value('log_close', 20) }} as log_close_20_ago,
        {{ trailing_value('log_close', 60) }} as log_close_60_ago,
        {{ trailing_mean('squared_moves', volatility_window_bars) }}
            as mean_squared_move,
        {{ trailing_mean('squared_moves', 5) }} as mean_squared_move_5,
        {{ trailing_mean('squared_moves', 20) }} as mean_squared_move_20,
        {{ trailing_mean('squared_moves', 60) }} as mean_squared_move_60,
        {{ trailing_mean('absolute_moves', 5) }} as mean_absolute_move_5,
        {{ trailing_mean('squared_ranges', 5) }} as mean_squared_range_5,
        {{ trailing_mean('squared_ranges', 20) }} as mean_squared_range_20,
        {{ trailing_mean('garman_klass_variances', 5) }}
            as mean_garman_klass_variance_5,
        {{ trailing_mean('garman_klass_variances', 20) }}
            as mean_garman_klass_variance_20,
        {{ trailing_mean('closes', 5) }} as mean_close_5,
        {{ trailing_mean('closes', 20) }} as mean_close_20,
        {{ trailing_mean('closes', 60) }} as mean_close_60,
        {{ trailing_extreme('greatest', 'highest_high_5', 5, 4) }}
            as highest_high_20,
        {{ trailing_extreme('least', 'lowest_low_5', 5, 4) }} as lowest_low_20,
        {{ trailing_extreme('greatest', 'highest_high_5', 5, 12) }}
            as highest_high_60,
        {{ trailing_extreme('least', 'lowest_low_5', 5, 12) }}
            as lowest_low_60,
        {{ trailing_mean('gains', 14) }} as mean_gain_14,
        {{ trailing_mean('absolute_moves', 14) }} as mean_absolute_move_14,
        {{ trailing_sum('log_closes', 20) }} as log_closes_20,
        {{ trailing_sum('placed_log_closes', 20) }} as placed_log_closes_20,
        {{ trailing_mean('volumes', 20) }} as mean_volume_20,
        {{ trailing_bars_are_whole(volatility_window_bars) }}
            as is_volatility_window_whole,
        {{ trailing_bars_are_whole(longest_bars) }} as is_longest_window_whole

    from accumulated

),

-- The least-squares slope on the places t - 19 to t: their mean is t - 9.5 and
-- their squared distances from it add up to 665.
sloped as (

    select
        *,
        (placed_log_closes_20 - (place_in_block - 9.5) * log_closes_20) / 665
            as slope_20

    from windowed

    where not is_run_up

),

with_volatility as (

    select
        *,
        case
            when
                mean_squared_move
                > {{ volatility_floor }} * {{ volatility_floor }}
                then sqrt(mean_squared_move)
        end as volatility

    from sloped

),

scaled as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        bar_number,
        session_date,
        closed_at,
        close as reference_close,
        adjusted_volume,
        volatility,
        is_volatility_window_whole,
        is_longest_window_whole,
        higher_timeframe,
        higher_bar_number,
        max_recorded_at,
        batch_id,
        from_bar_number,
        move / volatility as return_1,
        (log_close - log_close_5_ago) / (volatility * sqrt(5.0)) as return_5,
        (log_close - log_close_20_ago) / (volatility * sqrt(20.0))
            as return_20,
        (log_close - log_close_60_ago) / (volatility * sqrt(60.0))
            as return_60,
        abs(move) / volatility as absolute_return_1,
        mean_absolute_move_5 / volatility as absolute_return_5,
        gap / volatility as overnight_gap,
        0.5 * (
            {{ guarded_log('mean_squared_move_5') }}
            - {{ guarded_log('mean_squared_move_20') }}
        ) as volatility_ratio_5_20,
        0.5 * (
            {{ guarded_log('mean_squared_move_20') }}
            - {{ guarded_log('mean_squared_move_60') }}
        ) as volatility_ratio_20_60,
        0.5 * (
            {{ guarded_log('mean_squared_range_5') }}
            - {{ guarded_log('mean_squared_range_20') }}
        ) as parkinson_ratio_5_20,
        -- Parkinson (1980): the variance is the squared range / (4 ln 2).
        0.5 * (
            {{ guarded_log('mean_squared_range_20') }}
            - ln(4 * ln(2.0))
            - {{ guarded_log('mean_squared_move_20') }}
        ) as parkinson_to_realized_20,
        0.5 * (
            {{ guarded_log('mean_garman_klass_variance_5') }}
            - {{ guarded_log('mean_garman_klass_variance_20') }}
        ) as garman_klass_ratio_5_20,
        (log_close - ln(mean_close_5)) / (volatility * sqrt(5.0))
            as distance_from_average_5,
        (log_close - ln(mean_close_20)) / (volatility * sqrt(20.0))
            as distance_from_average_20,
        (log_close - ln(mean_close_60)) / (volatility * sqrt(60.0))
            as distance_from_average_60,
        {{ guarded_ratio(
            'adjusted_close - lowest_low_20',
            'highest_high_20 - lowest_low_20'
        ) }} as range_place_20,
        {{ guarded_ratio(
            'adjusted_close - lowest_low_60',
            'highest_high_60 - lowest_low_60'
        ) }} as range_place_60,
        {{ guarded_ratio('mean_gain_14', 'mean_absolute_move_14') }} as rsi_14,
        slope_20 * sqrt(20.0) / volatility as trend_slope_20,
        {{ guarded_log('adjusted_volume') }}
        - {{ guarded_log('mean_volume_20') }} as volume_ratio_20,
        body / volatility as candle_body,
        upper_shadow / volatility as upper_shadow,
        lower_shadow / volatility as lower_shadow,
        cast(extract(isodow from session_date) as double precision) as weekday

    from with_volatility

)

select * from scaled
