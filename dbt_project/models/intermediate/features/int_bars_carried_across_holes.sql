-- What stands in the places of short holes when windows are made: the last
-- close, and no observation. Bars are carried only between two that there are,
-- and are read only by rows of the later one and those behind it, so that
-- nothing is known here before it was.
{%- set block_bars = var('block_bars') | int(256) -%}
{%- set run_up_bars = var('longest_lookback_bars') | int(60) %}

with

due as (

    select
        symbol_id,
        timeframe,
        max_hole_bars,
        -- From where windows are made, a hole that has begun before included.
        from_block_number * {{ block_bars }}
        - {{ run_up_bars }}
        - max_hole_bars as from_bar_number

    from {{ ref('int_series_due') }}

    where not is_whole

),

numbered as (

    select
        bars.symbol_id,
        bars.calendar,
        bars.timeframe,
        bars.bar_number,
        due.max_hole_bars,
        lag(bars.bar_number) over along_series as previous_bar_number,
        lag(bars.adjusted_close) over along_series as adjusted_close,
        lag(bars.close) over along_series as close,
        lag(bars.max_recorded_at) over along_series as max_recorded_at,
        lag(bars.batch_id) over along_series as batch_id

    from {{ ref('bars') }} as bars

    inner join due
        on
            bars.symbol_id = due.symbol_id
            and bars.timeframe = due.timeframe
            and bars.bar_number >= due.from_bar_number

    window along_series as (
        partition by bars.symbol_id, bars.timeframe
        order by bars.bar_number asc
    )

),

holes as (

    select
        *,
        bar_number - previous_bar_number - 1 as n_bars

    from numbered

    where
        bar_number - previous_bar_number
        between 2 and max_hole_bars + 1

),

places as (

    select n

    from {{ numbers_up_to('(select max(due.max_hole_bars) from due)') }}

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
        closed_at,
        higher_bar_number

    from {{ ref('bar_grid') }}

),

carried as (

    select
        holes.symbol_id,
        holes.timeframe,
        grid.bar_number,
        holes.previous_bar_number as observed_bar_number,
        grid.session_date,
        grid.session_number,
        grid.place_in_session,
        grid.session_bars,
        grid.closed_at,
        grid.higher_bar_number,
        holes.close,
        holes.adjusted_close as adjusted_open,
        holes.adjusted_close as adjusted_high,
        holes.adjusted_close as adjusted_low,
        holes.adjusted_close,
        cast(0 as double precision) as adjusted_volume,
        holes.max_recorded_at,
        holes.batch_id

    from holes

    inner join places
        on holes.n_bars >= places.n

    inner join grid
        on
            holes.calendar = grid.calendar
            and holes.timeframe = grid.timeframe
            and holes.previous_bar_number + places.n = grid.bar_number

)

select * from carried
