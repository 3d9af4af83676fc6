{%- set columns = [
    'forecast_id', 'symbol_id', 'timeframe', 'horizon', 'horizon_bars',
    'closed_at', 'settled_at', 'settled_date', 'version_id', 'outcome',
    'is_hit', 'log_loss', 'climatology_log_loss', 'is_inside_50', 'is_inside_80',
    'is_inside_95', 'is_below_50', 'is_below_80', 'is_below_95',
    'interval_score_50', 'interval_score_80', 'interval_score_95',
    'expected_volatility',
] %}

with

outcomes as (

    select {{ columns | join(',\n        ') }}

    from {{ ref('forecast_outcomes') }}

    where is_counted

),

symbols as (

    select
        symbol_id,
        ticker,
        calendar

    from {{ ref('stg_market__symbols') }}

),

one_per_bar as (

    select
        outcomes.*,
        symbols.ticker,
        symbols.calendar

    from outcomes

    inner join symbols
        on outcomes.symbol_id = symbols.symbol_id

)

select * from one_per_bar
