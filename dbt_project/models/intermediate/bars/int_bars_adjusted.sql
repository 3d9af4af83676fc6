-- Bars and adjustments are laid on one time line and summed up along it, an
-- adjustment at the open of its session counting for the bar that opens then:
-- no bar needs to exist at the ex-date, and none sees a later adjustment.
with

bars as (

    select
        symbol_id,
        timeframe,
        opened_at,
        ticker,
        calendar,
        bar_number,
        session_date,
        closed_at,
        open,
        high,
        low,
        close,
        volume,
        recorded_at,
        batch_id,
        higher_timeframe,
        higher_bar_number

    from {{ ref('int_bars_placed_on_grid') }}

),

adjustments as (

    select
        symbol_id,
        effective_at,
        log_price_factor,
        log_split_factor,
        recorded_at,
        batch_id

    from {{ ref('int_adjustments_summed_by_time') }}

),

series as (

    select distinct
        symbol_id,
        timeframe

    from bars

),

time_line as (

    select
        *,
        cast(0 as double precision) as log_price_factor,
        cast(0 as double precision) as log_split_factor,
        cast(null as timestamp with time zone) as adjustment_recorded_at,
        cast(null as bigint) as adjustment_batch_id

    from bars

    union all

    select
        adjustments.symbol_id,
        series.timeframe,
        adjustments.effective_at as opened_at,
        cast(null as text) as ticker,
        cast(null as text) as calendar,
        cast(null as integer) as bar_number,
        cast(null as date) as session_date,
        cast(null as timestamp with time zone) as closed_at,
        cast(null as double precision) as open,
        cast(null as double precision) as high,
        cast(null as double precision) as low,
        cast(null as double precision) as close,
        cast(null as double precision) as volume,
        cast(null as timestamp with time zone) as recorded_at,
        cast(null as bigint) as batch_id,
        cast(null as text) as higher_timeframe,
        cast(null as integer) as higher_bar_number,
        adjustments.log_price_factor,
        adjustments.log_split_factor,
        adjustments.recorded_at as adjustment_recorded_at,
        adjustments.batch_id as adjustment_batch_id

    from adjustments

    inner join series
        on adjustments.symbol_id = series.symbol_id

),

summed_up as (

    select
        *,
        exp(sum(log_price_factor) over up_to_then) as price_factor,
        exp(sum(log_split_factor) over up_to_then) as split_factor,
        -- Whatever spans the event looks at the bar that opens with it.
        max(adjustment_recorded_at) over (
            partition by symbol_id, timeframe, opened_at
        ) as own_adjustment_recorded_at,
        max(adjustment_batch_id) over up_to_then as last_adjustment_batch_id

    from time_line

    window up_to_then as (
        partition by symbol_id, timeframe
        order by opened_at asc
        range between unbounded preceding and current row
    )

),

adjusted as (

    select
        symbol_id,
        timeframe,
        opened_at,
        ticker,
        calendar,
        bar_number,
        session_date,
        closed_at,
        open,
        high,
        low,
        close,
        volume,
        recorded_at,
        higher_timeframe,
        higher_bar_number,
        open / price_factor as adjusted_open,
        high / price_factor as adjusted_high,
        low / price_factor as adjusted_low,
        close / price_factor as adjusted_close,
        volume * split_factor as adjusted_volume,
        greatest(
            recorded_at, coalesce(own_adjustment_recorded_at, recorded_at)
        ) as max_recorded_at,
        greatest(
            batch_id, coalesce(last_adjustment_batch_id, batch_id)
        ) as batch_id

    from summed_up

    where bar_number is not null

)

select * from adjusted
