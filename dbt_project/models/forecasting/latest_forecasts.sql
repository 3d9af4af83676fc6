with

forecasts as (

    select * from {{ ref('int_forecasts_narrowed_to_latest') }}

),

latest as (

    select
        forecast_id,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        horizon_bars,
        closed_at,
        target_at,
        direction,
        confidence,
        probability_bearish,
        probability_neutral,
        probability_bullish,
        reference_close,
        price_target,
        lower_50,
        upper_50,
        lower_80,
        upper_80,
        lower_95,
        upper_95,
        expected_volatility,
        version_id,
        run_kind,
        is_late,
        issued_at

    from forecasts

)

select * from latest
