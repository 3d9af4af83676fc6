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

    where {{ not_before_any_is_due(
        'opened_at', ref('int_bars_due'), 'from_opened_at'
    ) }}

),

due as (

    select
        symbol_id,
        from_opened_at

    from {{ ref('int_bars_due') }}

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
        bar_number,
        session_date,
        session_number,
        place_in_session,
        session_bars,
        opened_at,
        closed_at,
        h1_bar_number,
        h4_bar_number,
        d1_bar_number,
        w1_bar_number,
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
        grid.session_number,
        grid.place_in_session,
        grid.session_bars,
        grid.opened_at,
        grid.closed_at,
        bars.open,
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        bars.recorded_at,
        bars.batch_id,
        grid.h1_bar_number,
        grid.h4_bar_number,
        grid.d1_bar_number,
        grid.w1_bar_number,
        grid.higher_timeframe,
        grid.higher_bar_number

    from bars

    inner join due
        on
            bars.symbol_id = due.symbol_id
            and bars.opened_at >= due.from_opened_at

    inner join symbols
        on bars.symbol_id = symbols.symbol_id

    -- The grid has days and weeks whatever is built.
    inner join timeframes
        on bars.timeframe = timeframes.timeframe

    inner join grid
        on
            symbols.calendar = grid.calendar
            and bars.timeframe = grid.timeframe
            and bars.opened_at = grid.opened_at

)

select * from placed
