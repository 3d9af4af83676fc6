-- The ledger is named in the join alone: as a step of its own it would be read
-- whole.
with

symbols as (

    select
        symbol_id,
        ticker,
        calendar

    from {{ ref('stg_market__symbols') }}

),

timeframes as (

    select timeframe from {{ ref('timeframes') }}

),

listed as (

    select
        symbols.symbol_id,
        symbols.ticker,
        symbols.calendar,
        horizons.timeframe,
        horizons.horizon

    from symbols

    cross join
        lateral {{ horizons_of('symbols.symbol_id', ref('stg_ml__forecasts')) }}
            as horizons

    inner join timeframes
        on horizons.timeframe = timeframes.timeframe

)

select * from listed
