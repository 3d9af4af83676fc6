with

bars as (

    select
        symbol_id,
        timeframe,
        opened_at,
        open,
        high,
        low,
        close,
        volume,
        recorded_at,
        batch_id

    from {{ ref('stg_market__bars') }}

    -- Weeks are rolled up from days: loaded ones are kept in raw, not built.
    where timeframe = 'd1'

),

due as (

    select
        symbol_id,
        from_opened_at

    from {{ ref('int_bars_due') }}

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
        bar_number,
        session_date,
        opened_at,
        closed_at,
        higher_timeframe,
        higher_bar_number

    from {{ ref('bar_grid') }}

),

placed as (

    select
        bars.symbol_id,
        symbols.ticker,
        symbols.calendar,
        bars.timeframe,
        grid.bar_number,
        grid.session_date,
        grid.opened_at,
        grid.closed_at,
        bars.open,
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        bars.recorded_at,
        bars.batch_id,
        grid.higher_timeframe,
        grid.higher_bar_number

    from bars

    inner join due
        on
            bars.symbol_id = due.symbol_id
            and bars.opened_at >= due.from_opened_at

    inner join symbols
        on bars.symbol_id = symbols.symbol_id

    inner join grid
        on
            symbols.calendar = grid.calendar
            and bars.timeframe = grid.timeframe
            and bars.opened_at = grid.opened_at

)

select * from placed
