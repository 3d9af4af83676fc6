with

ledger as (

    select
        forecast_id,
        symbol_id,
        ticker,
        timeframe

    from {{ ref('ledger') }}

),

outcomes as (

    select
        forecast_id,
        symbol_id,
        timeframe,
        horizon,
        horizon_bars,
        closed_at,
        settled_at,
        settled_date,
        version_id,
        is_hit

    from {{ ref('forecast_outcomes') }}

),

-- Joined by the series as well, so that a filter on it reaches both tables.
one_per_bar as (

    select
        outcomes.forecast_id,
        outcomes.symbol_id,
        ledger.ticker,
        outcomes.timeframe,
        outcomes.horizon,
        outcomes.horizon_bars,
        outcomes.closed_at,
        outcomes.settled_at,
        outcomes.settled_date,
        outcomes.version_id,
        outcomes.is_hit

    from outcomes

    inner join ledger
        on
            outcomes.forecast_id = ledger.forecast_id
            and outcomes.symbol_id = ledger.symbol_id
            and outcomes.timeframe = ledger.timeframe

)

select * from one_per_bar
