with

latest as (

    select * from {{ ref('int_forecasts_narrowed_to_latest') }}

),

forecasts as (

    select
        forecast_id,
        symbol_id,
        version_id,
        timeframe,
        horizon,
        bar_number,
        closed_at,
        run_kind,
        direction,
        confidence,
        probability_bearish,
        probability_neutral,
        probability_bullish,
        price_target

    from {{ ref('stg_ml__forecasts') }}

    where run_kind in {{ counted_kinds() }}

),

-- One look into the key for each series and horizon.
paired as (

    select
        latest.*,
        before.forecast_id as previous_forecast_id,
        before.version_id as previous_version_id,
        before.bar_number as previous_bar_number,
        before.closed_at as previous_closed_at,
        before.direction as previous_direction,
        before.confidence as previous_confidence,
        before.probability_bearish as previous_probability_bearish,
        before.probability_neutral as previous_probability_neutral,
        before.probability_bullish as previous_probability_bullish,
        before.price_target as previous_price_target

    from latest

    cross join lateral (
        select forecasts.*

        from forecasts

        where
            forecasts.symbol_id = latest.symbol_id
            and forecasts.timeframe = latest.timeframe
            and forecasts.horizon = latest.horizon
            and forecasts.closed_at < latest.closed_at

        order by
            forecasts.closed_at desc,
            {{ live_before_replay('forecasts') }}

        limit 1
    ) as before

)

select * from paired
