{%- set columns = [
    'horizon', 'target_at', 'direction', 'probability', 'price_target',
    'lower_50', 'upper_50', 'lower_80', 'upper_80', 'lower_95', 'upper_95',
] -%}
{%- set slots = ['first', 'second', 'third'] -%}

with

forecasts as (

    select * from {{ ref('int_forecasts_handed_to_longer_timeframes') }}

),

ranked as (

    select
        *,
        case direction
            when 'BEARISH' then probability_bearish
            when 'BULLISH' then probability_bullish
            else probability_neutral
        end as probability,
        row_number() over (
            partition by symbol_id, ticker, timeframe
            order by horizon_bars asc, horizon asc
        ) as place

    from forecasts

),

summarized as (

    select
        symbol_id,
        ticker,
        timeframe,
        max(closed_at) as closed_at,
        max(case when is_base_horizon then horizon end) as base_horizon,
        {% for slot in slots -%}
            {% set place = loop.index -%}
            {% for column in columns -%}
                max(case when place = {{ place }} then {{ column }} end)
                    as {{ slot }}_{{ column }},
            {% endfor -%}
        {% endfor -%}
        cast(count(*) as integer) as n_horizons

    from ranked

    group by symbol_id, ticker, timeframe

)

select * from summarized
