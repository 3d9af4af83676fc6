{#
    Volatility to expect of the log return over the next `horizon_bars` bars:
    the square root of the summed variance of the bars ahead, each taken as the
    mean squared move of the last bars at its place in the session. Bars of one
    session or longer have one place, so all bars ahead share one variance.
#}
{% macro expected_volatility(mean_squared_move, horizon_bars) -%}
    sqrt({{ mean_squared_move }} * {{ horizon_bars }})
{%- endmacro %}
