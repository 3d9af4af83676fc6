with

forecasts as (

    select
        forecasts.forecast_id,
        forecasts.symbol_id,
        forecasts.version_id,
        forecasts.timeframe,
        forecasts.horizon,
        forecasts.horizon_bars,
        forecasts.run_kind,
        forecasts.bar_number,
        forecasts.probability_bearish,
        forecasts.probability_neutral,
        forecasts.probability_bullish,
        forecasts.climatology_bearish,
        forecasts.climatology_neutral,
        forecasts.climatology_bullish,
        forecasts.member_probabilities,
        forecasts.closed_at,
        forecasts.target_at

    from {{ ref('stg_ml__forecasts') }} as forecasts

    where
        {{ may_count('forecasts') }}
        and {{ is_first_of_its_bar('forecasts', ref('stg_ml__forecasts')) }}

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

one_per_bar as (

    select
        forecasts.forecast_id,
        forecasts.symbol_id,
        symbols.ticker,
        forecasts.version_id,
        forecasts.timeframe,
        forecasts.horizon,
        forecasts.horizon_bars,
        forecasts.run_kind,
        forecasts.bar_number,
        forecasts.probability_bearish,
        forecasts.probability_neutral,
        forecasts.probability_bullish,
        forecasts.climatology_bearish,
        forecasts.climatology_neutral,
        forecasts.climatology_bullish,
        forecasts.member_probabilities,
        forecasts.closed_at,
        forecasts.target_at

    from forecasts

    inner join symbols
        on forecasts.symbol_id = symbols.symbol_id

)

select * from one_per_bar
