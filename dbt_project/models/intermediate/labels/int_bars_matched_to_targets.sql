-- Every bar with each of its horizons, the grid bar on which that ends and the
-- bar found there, if any. The one place where features' bars look ahead.
with

bars as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        bar_number,
        closed_at,
        adjusted_close

    from {{ ref('bars') }}

),

horizons as (

    select
        calendar,
        timeframe,
        horizon,
        horizon_bars

    from {{ ref('horizons') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        closed_at

    from {{ ref('bar_grid') }}

),

last_bars as (

    select
        symbol_id,
        timeframe,
        max(bar_number) as bar_number

    from bars

    group by symbol_id, timeframe

),

aimed as (

    select
        bars.*,
        horizons.horizon,
        horizons.horizon_bars,
        {{ forward_bar_number('bars.bar_number', 'horizons.horizon_bars') }}
            as label_end_bar_number

    from bars

    inner join horizons
        on
            bars.calendar = horizons.calendar
            and bars.timeframe = horizons.timeframe

),

matched as (

    select
        aimed.symbol_id,
        aimed.ticker,
        aimed.calendar,
        aimed.timeframe,
        aimed.horizon,
        aimed.horizon_bars,
        aimed.bar_number,
        aimed.closed_at,
        aimed.label_end_bar_number,
        grid.closed_at as label_end_at,
        {{ forward_log_return(
            'aimed.adjusted_close', 'targets.adjusted_close'
        ) }} as label_return,
        aimed.label_end_bar_number <= last_bars.bar_number as is_target_due

    from aimed

    inner join last_bars
        on
            aimed.symbol_id = last_bars.symbol_id
            and aimed.timeframe = last_bars.timeframe

    left join grid
        on
            aimed.calendar = grid.calendar
            and aimed.timeframe = grid.timeframe
            and aimed.label_end_bar_number = grid.bar_number

    left join bars as targets
        on
            aimed.symbol_id = targets.symbol_id
            and aimed.timeframe = targets.timeframe
            and aimed.label_end_bar_number = targets.bar_number

)

select * from matched
