-- A series without a horizon gets no labels and no forecasts. A load writes the
-- default ones of its calendar: load any bars of it again, or add rows for its
-- calendar and timeframe to seeds/horizons.csv.
with

series as (

    select
        symbol_id,
        timeframe

    from {{ ref('int_series_loaded') }}

    union

    select
        symbol_id,
        timeframe

    from {{ ref('int_series_rolled_up') }}

),

symbols as (

    select
        symbol_id,
        calendar

    from {{ ref('stg_market__symbols') }}

),

horizons as (

    select distinct
        calendar,
        timeframe

    from {{ ref('int_horizons_completed_with_defaults') }}

),

without_horizons as (

    select distinct
        symbols.calendar,
        series.timeframe

    from series

    inner join symbols
        on series.symbol_id = symbols.symbol_id

    left join horizons
        on
            symbols.calendar = horizons.calendar
            and series.timeframe = horizons.timeframe

    where horizons.calendar is null

)

select * from without_horizons
