-- In the order of the classes: BEARISH, NEUTRAL, BULLISH.
with

forecasts as (

    select
        forecast_id,
        symbol_id,
        version_id,
        timeframe,
        horizon,
        horizon_bars,
        run_kind,
        is_late,
        bar_number,
        closed_at,
        direction,
        climatology_bearish,
        climatology_neutral,
        climatology_bullish,
        member_probabilities

    from {{ ref('stg_ml__forecasts') }}

    where run_kind in {{ counted_kinds() }}

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

split as (

    select
        forecasts.forecast_id,
        forecasts.symbol_id,
        symbols.ticker,
        forecasts.version_id,
        forecasts.timeframe,
        forecasts.horizon,
        forecasts.horizon_bars,
        forecasts.run_kind,
        forecasts.is_late,
        forecasts.bar_number,
        forecasts.closed_at,
        forecasts.direction,
        forecasts.climatology_bearish,
        forecasts.climatology_neutral,
        forecasts.climatology_bullish,
        members.member,
        {{ number_at('members.probabilities', 0) }} as probability_bearish,
        {{ number_at('members.probabilities', 1) }} as probability_neutral,
        {{ number_at('members.probabilities', 2) }} as probability_bullish

    from forecasts

    inner join symbols
        on forecasts.symbol_id = symbols.symbol_id

    cross join
        lateral {{ entries_of('forecasts.member_probabilities') }}
            as members (member, probabilities)

)

select * from split
