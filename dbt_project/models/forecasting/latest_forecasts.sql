with

forecasts as (

    select * from {{ ref('int_forecasts_narrowed_to_latest') }}

),

symbols as (

    select
        symbol_id,
        currency

    from {{ ref('stg_market__symbols') }}

),

-- The market's clock: how far bars of the calendar reach, whoever's they are.
calendar_ends as (

    select
        calendar,
        max(last_closed_at) as closed_at

    from {{ ref('int_series_looked_up_to_states') }}

    group by calendar

),

latest as (

    select
        forecasts.forecast_id,
        forecasts.symbol_id,
        forecasts.ticker,
        forecasts.timeframe,
        forecasts.horizon,
        forecasts.horizon_bars,
        forecasts.closed_at,
        forecasts.target_at,
        coalesce(
            forecasts.target_at <= calendar_ends.closed_at, false
        ) as is_past_target,
        forecasts.direction,
        forecasts.confidence,
        forecasts.probability_bearish,
        forecasts.probability_neutral,
        forecasts.probability_bullish,
        symbols.currency,
        forecasts.reference_close,
        forecasts.price_target,
        forecasts.lower_50,
        forecasts.upper_50,
        forecasts.lower_80,
        forecasts.upper_80,
        forecasts.lower_95,
        forecasts.upper_95,
        forecasts.expected_volatility,
        forecasts.forecast_volatility,
        forecasts.trust,
        forecasts.trust_reasons,
        forecasts.version_id,
        forecasts.run_kind,
        forecasts.is_late,
        forecasts.issued_at

    from forecasts

    left join symbols
        on forecasts.symbol_id = symbols.symbol_id

    left join calendar_ends
        on forecasts.calendar = calendar_ends.calendar

)

select * from latest
