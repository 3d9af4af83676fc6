{#
    Windows over the past of one series. A series is one symbol on one
    timeframe and its order is the grid's, so every macro here needs the columns
    symbol_id, timeframe and bar_number. Only `preceding` frames: whatever looks
    ahead lives in forward.sql and belongs to labels.

    A window counts rows. That it holds consecutive bars of the grid is checked
    once, by `trailing_bars_are_whole`.
#}

{% macro series_order() -%}
    partition by symbol_id, timeframe order by bar_number asc
{%- endmacro %}


{# Value of `expression`, `bars` bars ago. #}
{% macro trailing_value(expression, bars) -%}
    lag({{ expression }}, {{ bars }}) over ({{ series_order() }})
{%- endmacro %}


{# `function` of `expression` over the last `bars` bars, this one included. #}
{% macro trailing_aggregate(function, expression, bars) -%}
    {{ function }}({{ expression }}) over (
        {{ series_order() }}
        rows between {{ bars - 1 }} preceding and current row
    )
{%- endmacro %}


{% macro trailing_mean(expression, bars) -%}
    {{ trailing_aggregate('avg', expression, bars) }}
{%- endmacro %}


{% macro trailing_maximum(expression, bars) -%}
    {{ trailing_aggregate('max', expression, bars) }}
{%- endmacro %}


{% macro trailing_minimum(expression, bars) -%}
    {{ trailing_aggregate('min', expression, bars) }}
{%- endmacro %}


{# Log return of `price` over the last `bars` bars. #}
{% macro trailing_log_return(price, bars) -%}
    ln({{ price }} / {{ trailing_value(price, bars) }})
{%- endmacro %}


{#
    Least-squares slope of `expression` on bar number over the last `bars` bars,
    per bar.
#}
{% macro trailing_slope(expression, bars) -%}
    {{ trailing_aggregate('regr_slope', expression ~ ', bar_number', bars) }}
{%- endmacro %}


{#
    Whether the last `bars` bars and the one before them are on the grid without
    a hole; null while there are not that many.
#}
{% macro trailing_bars_are_whole(bars) -%}
    bar_number - {{ trailing_value('bar_number', bars) }} = {{ bars }}
{%- endmacro %}
