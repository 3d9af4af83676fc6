-- Bars of the series that are due, in blocks that begin at fixed bar numbers,
-- each led by the last bars of the block before as its run-up. Every window
-- stays inside its block, so a block is computed alike alone and among all.
{%- set block_bars = var('block_bars') | int(512) -%}
{%- set run_up_bars = var('longest_lookback_bars') | int(60) %}

with

due as (

    select
        symbol_id,
        timeframe,
        from_bar_number,
        from_label_bar_number,
        from_block_number

    from {{ ref('int_series_due') }}

),

own as (

    select
        bars.*,
        {{ block_number('bars.bar_number') }} as block_number,
        false as is_run_up,
        due.from_bar_number,
        due.from_label_bar_number

    from {{ ref('bars') }} as bars

    inner join due
        on
            bars.symbol_id = due.symbol_id
            and bars.timeframe = due.timeframe
            and bars.bar_number >= due.from_block_number * {{ block_bars }}

),

run_up as (

    select
        bars.*,
        {{ block_number('bars.bar_number') }} + 1 as block_number,
        true as is_run_up,
        due.from_bar_number,
        due.from_label_bar_number

    from {{ ref('bars') }} as bars

    inner join due
        on
            bars.symbol_id = due.symbol_id
            and bars.timeframe = due.timeframe
            and bars.bar_number
            >= due.from_block_number * {{ block_bars }} - {{ run_up_bars }}

    where
        mod(bars.bar_number, {{ block_bars }})
        >= {{ block_bars }} - {{ run_up_bars }}

),

cut as (

    select * from own

    union all

    select * from run_up

)

select * from cut
