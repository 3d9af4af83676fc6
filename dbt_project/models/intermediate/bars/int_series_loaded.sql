-- What was loaded of each symbol. Timeframes coarser than a loaded one are
-- rolled up from it, unless they were loaded themselves.
with

symbols as (

    select
        symbol_id,
        calendar

    from {{ ref('stg_market__symbols') }}

),

timeframes as (

    select
        timeframe,
        sort_order

    from {{ ref('timeframes') }}

),

-- One look into the key for each, not a pass over all bars.
looked_up as (

    select
        symbols.symbol_id,
        symbols.calendar,
        timeframes.timeframe,
        timeframes.sort_order,
        (
            select min(bars.opened_at)

            from {{ source('market', 'bars') }} as bars

            where
                bars.symbol_id = symbols.symbol_id
                and bars.timeframe = timeframes.timeframe
                and {{ is_known(
                    'bars.recorded_at',
                    'bars.batch_id',
                    closed_at='bars.closed_at'
                ) }}
        ) as first_opened_at

    from symbols

    cross join timeframes

),

loaded as (

    select * from looked_up

    where first_opened_at is not null

)

select * from loaded
