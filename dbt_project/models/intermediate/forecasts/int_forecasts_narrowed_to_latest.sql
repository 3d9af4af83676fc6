-- What is shown, not what counts: a late forecast is the latest all the same.
with

listed as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon

    from {{ ref('int_forecasts_listed_by_horizon') }}

),

forecasts as (

    select * from {{ ref('stg_ml__forecasts') }}

    where run_kind in {{ counted_kinds() }}

),

-- One look at the end of the key for each series and horizon, however long the
-- ledger is.
latest as (

    select
        newest.*,
        listed.ticker,
        listed.calendar

    from listed

    cross join lateral (
        select forecasts.*

        from forecasts

        where
            forecasts.symbol_id = listed.symbol_id
            and forecasts.timeframe = listed.timeframe
            and forecasts.horizon = listed.horizon

        order by
            forecasts.closed_at desc,
            {{ live_before_replay('forecasts') }}

        limit 1
    ) as newest

)

select * from latest
