-- What one bar says by itself and against the bar before it, in log prices.
with

bars as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        bar_number,
        session_date,
        closed_at,
        close,
        adjusted_open,
        adjusted_high,
        adjusted_low,
        adjusted_close,
        adjusted_volume,
        higher_timeframe,
        higher_bar_number,
        max_recorded_at

    from {{ ref('bars') }}

),

measured as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        bar_number,
        session_date,
        closed_at,
        close,
        adjusted_high,
        adjusted_low,
        adjusted_close,
        adjusted_volume,
        higher_timeframe,
        higher_bar_number,
        max_recorded_at,
        ln(adjusted_close) as log_close,
        {{ trailing_log_return('adjusted_close', 1) }} as move,
        ln(
            adjusted_open / {{ trailing_value('adjusted_close', 1) }}
        ) as gap,
        ln(adjusted_close / adjusted_open) as body,
        ln(
            adjusted_high / greatest(adjusted_open, adjusted_close)
        ) as upper_shadow,
        ln(
            least(adjusted_open, adjusted_close) / adjusted_low
        ) as lower_shadow,
        power(ln(adjusted_high / adjusted_low), 2) as squared_range

    from bars

)

select * from measured
