-- Features of a series' own bars. Moves and distances are in units of the
-- volatility to expect over as many bars; nothing carries the scale of a price.
-- Whatever divides by nothing is null and makes the row unusable later.
{%- set volatility_floor = var('volatility_floor') %}

with

windows as (

    select
        *,
        case
            when
                mean_squared_move
                > {{ volatility_floor }} * {{ volatility_floor }}
                then sqrt(mean_squared_move)
        end as volatility

    from {{ ref('int_bars_summed_over_windows') }}

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

    from windows

)

select * from scaled
