-- A hole is seen from the bar behind it; before a series' first bar and after
-- its last one nothing is missing.
with

bars as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        bar_number

    from {{ ref('bars') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        session_date

    from {{ ref('bar_grid') }}

),

timeframes as (

    select
        timeframe,
        max_hole_bars

    from {{ ref('timeframes') }}

),

numbered as (

    select
        *,
        lag(bar_number) over (
            partition by symbol_id, timeframe order by bar_number asc
        ) as previous_bar_number

    from bars

),

holes as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        previous_bar_number + 1 as first_bar_number,
        bar_number - 1 as last_bar_number,
        bar_number - previous_bar_number - 1 as n_bars

    from numbered

    where bar_number > previous_bar_number + 1

),

dated as (

    select
        holes.symbol_id,
        holes.ticker,
        holes.calendar,
        holes.timeframe,
        holes.first_bar_number,
        holes.last_bar_number,
        holes.n_bars,
        first_bars.session_date as first_session_date,
        last_bars.session_date as last_session_date,
        holes.n_bars <= timeframes.max_hole_bars as is_carried

    from holes

    inner join timeframes
        on holes.timeframe = timeframes.timeframe

    inner join grid as first_bars
        on
            holes.calendar = first_bars.calendar
            and holes.timeframe = first_bars.timeframe
            and holes.first_bar_number = first_bars.bar_number

    inner join grid as last_bars
        on
            holes.calendar = last_bars.calendar
            and holes.timeframe = last_bars.timeframe
            and holes.last_bar_number = last_bars.bar_number

)

select * from dated
