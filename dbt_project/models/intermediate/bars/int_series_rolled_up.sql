-- The timeframes that each symbol's bars are rolled up to, and the coarsest
-- loaded one that is finer, which they are rolled up from.
with

loaded as (

    select
        symbol_id,
        timeframe,
        sort_order

    from {{ ref('int_series_loaded') }}

),

timeframes as (

    select
        timeframe,
        sort_order

    from {{ ref('timeframes') }}

),

paired as (

    select
        loaded.symbol_id,
        timeframes.timeframe,
        timeframes.sort_order,
        max(loaded.sort_order) as loaded_sort_order

    from loaded

    inner join timeframes
        on loaded.sort_order <= timeframes.sort_order

    group by loaded.symbol_id, timeframes.timeframe, timeframes.sort_order

),

rolled_up as (

    select
        paired.symbol_id,
        paired.timeframe,
        timeframes.timeframe as rolled_up_from

    from paired

    inner join timeframes
        on paired.loaded_sort_order = timeframes.sort_order

    where paired.loaded_sort_order < paired.sort_order

)

select * from rolled_up
