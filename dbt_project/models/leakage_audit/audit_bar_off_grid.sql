with

bars as (

    select
        symbol_id,
        timeframe,
        opened_at,
        closed_at

    from {{ ref('stg_market__bars') }}

),

timeframes as (

    select timeframe from {{ ref('timeframes') }}

),

symbols as (

    select
        symbol_id,
        ticker,
        calendar

    from {{ ref('stg_market__symbols') }}

),

grid as (

    select
        calendar,
        timeframe,
        opened_at,
        closed_at

    from {{ ref('bar_grid') }}

),

off_grid as (

    select
        bars.symbol_id,
        symbols.ticker,
        bars.timeframe,
        bars.opened_at,
        bars.closed_at

    from bars

    inner join symbols
        on bars.symbol_id = symbols.symbol_id

    -- Of others no bar is built, on the grid or off it.
    inner join timeframes
        on bars.timeframe = timeframes.timeframe

    left join grid
        on
            symbols.calendar = grid.calendar
            and bars.timeframe = grid.timeframe
            and bars.opened_at = grid.opened_at
            and bars.closed_at = grid.closed_at

    where grid.calendar is null

),

unaccepted as (

    {{ without_exceptions('audit_bar_off_grid', 'off_grid') }}

)

select * from unaccepted
