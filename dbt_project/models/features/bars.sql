{%- set columns = [
    'symbol_id', 'ticker', 'calendar', 'timeframe', 'bar_number',
    'session_date', 'opened_at', 'closed_at', 'open', 'high', 'low', 'close',
    'volume', 'adjusted_open', 'adjusted_high', 'adjusted_low',
    'adjusted_close', 'adjusted_volume', 'higher_timeframe',
    'higher_bar_number', 'max_recorded_at',
] -%}

with

loaded as (

    select {{ columns | join(', ') }}

    from {{ ref('int_bars_adjusted') }}

),

rolled_up as (

    select {{ columns | join(', ') }}

    from {{ ref('int_bars_rolled_up_to_weeks') }}

),

combined as (

    select * from loaded

    union all

    select * from rolled_up

)

select * from combined
