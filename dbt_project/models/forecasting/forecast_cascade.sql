with

forecasts as (

    select * from {{ ref('int_forecasts_handed_to_longer_timeframes') }}

),

cascade as (

    select
        forecast_id,
        symbol_id,
        ticker,
        cast(
            dense_rank() over (
                partition by symbol_id, ticker
                order by place_from_longest asc
            ) as integer
        ) as place,
        timeframe,
        horizon,
        horizon_bars,
        is_base_horizon,
        closed_at,
        target_at,
        direction,
        confidence,
        probability_bearish,
        probability_neutral,
        probability_bullish,
        reference_close,
        price_target,
        lower_80,
        upper_80,
        longer_timeframe,
        target_gap_minutes,
        class_agreement,
        target_agreement,
        handoff,
        handoff_status

    from forecasts

)

select * from cascade
