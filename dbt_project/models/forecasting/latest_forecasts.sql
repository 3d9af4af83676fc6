-- What is shown, not what counts: a late forecast is the latest all the same.
with

forecasts as (

    select * from {{ ref('stg_ml__forecasts') }}

    where run_kind in ('live', 'replay')

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

named as (

    select
        forecasts.*,
        symbols.ticker

    from forecasts

    inner join symbols
        on forecasts.symbol_id = symbols.symbol_id

),

dated as (

    select
        *,
        max(closed_at) over (
            partition by symbol_id, ticker, timeframe, horizon
        ) as newest_closed_at

    from named

),

ranked as (

    select
        *,
        row_number() over (
            partition by symbol_id, ticker, timeframe, horizon
            order by {{ live_before_replay() }}
        ) as preference

    from dated

    where closed_at = newest_closed_at

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

    from ranked

    where preference = 1

)

select * from latest
