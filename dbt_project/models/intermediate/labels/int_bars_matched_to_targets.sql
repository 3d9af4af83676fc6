-- Every bar with each of its horizons, the grid bar on which that ends and the
-- bar found there, if any. The one place where features' bars look ahead.
with

bars as (

    select
        symbol_id,
        timeframe,
        bar_number,
        adjusted_close,
        batch_id

    from {{ ref('bars') }}

),

-- Where labels are due, with the scale that their thresholds are set by.
measured as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        bar_number,
        closed_at,
        adjusted_close,
        mean_squared_move,
        batch_id

    from {{ ref('int_bars_averaged_to_volatility') }}

    where bar_number >= from_label_bar_number

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
        measured.*,
        horizons.horizon,
        horizons.horizon_bars,
        {{ forward_bar_number(
            'measured.bar_number', 'horizons.horizon_bars'
        ) }} as label_end_bar_number

    from measured

    inner join horizons
        on
            measured.calendar = horizons.calendar
            and measured.timeframe = horizons.timeframe

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
        aimed.mean_squared_move,
        aimed.label_end_bar_number,
        grid.closed_at as label_end_at,
        {{ forward_log_return(
            'aimed.adjusted_close', 'targets.adjusted_close'
        ) }} as label_return,
        aimed.label_end_bar_number <= last_bars.bar_number as is_target_due,
        -- A label is as new as the newer of the bars that it lies between.
        greatest(
            aimed.batch_id, coalesce(targets.batch_id, aimed.batch_id)
        ) as batch_id

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
