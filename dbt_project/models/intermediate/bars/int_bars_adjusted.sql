-- Bars and adjustments are laid on one time line and summed up along it, an
-- adjustment at the open of its session counting for the bar that opens then:
-- no bar needs to exist at the ex-date, and none sees a later adjustment. A
-- loaded week closes on the basis of its last session, so an adjustment in it
-- counts for the whole week.
-- Symbols without any adjustment are spared the time line. The bars are read
-- for either, since what is kept to be read twice is made by one processor.
{%- set carried = [
    'ticker', 'calendar', 'bar_number', 'session_date', 'session_number',
    'place_in_session', 'session_bars', 'closed_at', 'open', 'high', 'low',
    'close', 'volume', 'recorded_at', 'batch_id', 'h1_bar_number',
    'h4_bar_number', 'd1_bar_number', 'w1_bar_number', 'higher_timeframe',
    'higher_bar_number',
] -%}
{%- set of_bars = [] -%}
{%- for column in ['symbol_id', 'timeframe', 'opened_at'] + carried -%}
    {%- do of_bars.append('bars.' ~ column) -%}
{%- endfor %}

with

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

adjusted_symbols as (

    select distinct symbol_id

    from adjustments

),

series as (

    select distinct
        adjusted_symbols.symbol_id,
        loaded.calendar,
        loaded.timeframe

    from adjusted_symbols

    inner join {{ ref('int_series_loaded') }} as loaded
        on adjusted_symbols.symbol_id = loaded.symbol_id

),

sessions as (

    select
        calendar,
        opened_at,
        min(opened_at) over (
            partition by calendar, week_number
        ) as week_opened_at

    from {{ ref('int_sessions_numbered_by_week') }}

),

time_line as (

    select
        {{ of_bars | join(',\n        ') }},
        true as is_bar,
        -- After all that takes effect in the bar.
        bars.closed_at as counted_at,
        cast(0 as double precision) as log_price_factor,
        cast(0 as double precision) as log_split_factor,
        cast(null as timestamp with time zone) as adjustment_recorded_at,
        cast(null as bigint) as adjustment_batch_id

    from {{ ref('int_bars_placed_on_grid') }} as bars

    inner join adjusted_symbols
        on bars.symbol_id = adjusted_symbols.symbol_id

    union all

    select
        adjustments.symbol_id,
        series.timeframe,
        case
            when series.timeframe = 'w1'
                then coalesce(sessions.week_opened_at, adjustments.effective_at)
            else adjustments.effective_at
        end as opened_at,
        {% for column in carried -%}
            null as {{ column }},
        {% endfor -%}
        false as is_bar,
        adjustments.effective_at as counted_at,
        adjustments.log_price_factor,
        adjustments.log_split_factor,
        adjustments.recorded_at as adjustment_recorded_at,
        adjustments.batch_id as adjustment_batch_id

    from adjustments

    inner join series
        on adjustments.symbol_id = series.symbol_id

    left join sessions
        on
            series.calendar = sessions.calendar
            and adjustments.effective_at = sessions.opened_at

),

summed_up as (

    select
        *,
        {{ guarded_exp('sum(log_price_factor) over up_to_then') }}
            as price_factor,
        {{ guarded_exp('sum(log_split_factor) over up_to_then') }}
            as split_factor,
        -- Whatever feature spans the event looks at the first bar after it.
        max(adjustment_recorded_at) over (
            partition by symbol_id, timeframe, opened_at
        ) as own_adjustment_recorded_at,
        max(adjustment_batch_id) over up_to_then as last_adjustment_batch_id

    from time_line

    window up_to_then as (
        partition by symbol_id, timeframe
        order by opened_at asc, counted_at asc
        range between unbounded preceding and current row
    )

),

factored as (

    select
        symbol_id,
        timeframe,
        opened_at,
        {{ carried | join(',\n        ') }},
        price_factor,
        split_factor,
        own_adjustment_recorded_at,
        last_adjustment_batch_id

    from summed_up

    where is_bar

    union all

    select
        {{ of_bars | join(',\n        ') }},
        cast(1 as double precision) as price_factor,
        cast(1 as double precision) as split_factor,
        cast(null as timestamp with time zone) as own_adjustment_recorded_at,
        cast(null as bigint) as last_adjustment_batch_id

    from {{ ref('int_bars_placed_on_grid') }} as bars

    left join adjusted_symbols
        on bars.symbol_id = adjusted_symbols.symbol_id

    where adjusted_symbols.symbol_id is null

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
        session_number,
        place_in_session,
        session_bars,
        closed_at,
        open,
        high,
        low,
        close,
        volume,
        recorded_at,
        h1_bar_number,
        h4_bar_number,
        d1_bar_number,
        w1_bar_number,
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

    from factored

)

select * from adjusted
