with

forecasts as (

    select * from {{ ref('int_forecasts_paired_with_the_one_before') }}

),

-- Adjusted closes, so that a split between the two bars moves neither the
-- close nor the target. Each side finds its bars by their key: as one step for
-- both they would all be read.
placed as (

    select
        forecasts.*,
        ln(bars.adjusted_close / previous_bars.adjusted_close) as close_move,
        ln(forecasts.price_target / forecasts.previous_price_target)
        + ln(bars.adjusted_close / bars.close)
        - ln(previous_bars.adjusted_close / previous_bars.close)
            as target_move

    from forecasts

    left join {{ ref('bars') }} as bars
        on
            forecasts.symbol_id = bars.symbol_id
            and forecasts.timeframe = bars.timeframe
            and forecasts.bar_number = bars.bar_number

    left join {{ ref('bars') }} as previous_bars
        on
            forecasts.symbol_id = previous_bars.symbol_id
            and forecasts.timeframe = previous_bars.timeframe
            and forecasts.previous_bar_number = previous_bars.bar_number

),

-- What one bar may move by chance is the threshold of the horizon over the
-- root of its bars.
gauged as (

    select
        *,
        direction <> previous_direction as has_turned,
        0.5 * (
            abs(probability_bearish - previous_probability_bearish)
            + abs(probability_neutral - previous_probability_neutral)
            + abs(probability_bullish - previous_probability_bullish)
        ) as probability_distance,
        version_id <> previous_version_id as has_new_version,
        abs(close_move) > label_threshold * sqrt(
            cast(bar_number - previous_bar_number as double precision)
            / horizon_bars
        ) as has_market_moved

    from placed

),

explained as (

    select
        forecast_id,
        previous_forecast_id,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        horizon_bars,
        closed_at,
        previous_closed_at,
        direction,
        previous_direction,
        has_turned,
        probability_distance,
        confidence - previous_confidence as confidence_change,
        close_move,
        target_move,
        version_id,
        previous_version_id,
        has_market_moved,
        case
            when not has_new_version then 'market'
            when coalesce(has_market_moved, false) then 'version_and_market'
            else 'version'
        end as moved_by

    from gauged

)

select * from explained
