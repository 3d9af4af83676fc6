{#
    What lies ahead of a bar: for labels and settlements only. The target bar is
    joined by its number on the grid, so a hole in the bars cannot pull a later
    bar into its place.
#}

{#
    Number of the bar on which a label of `horizon_bars` bars ends: a place on
    the grid, known when the bar closes.
#}
{% macro forward_bar_number(bar_number, horizon_bars) -%}
    {{ bar_number }} + {{ horizon_bars }}
{%- endmacro %}


{# Log return from the reference price to the price of the target bar. #}
{% macro forward_log_return(reference_price, target_price) -%}
    ln({{ target_price }} / {{ reference_price }})
{%- endmacro %}


{# Class of a move: NEUTRAL up to and including the threshold, either way. #}
{% macro move_class(log_return, threshold) -%}
    case
        when {{ log_return }} > {{ threshold }} then 'BULLISH'
        when {{ log_return }} < -{{ threshold }} then 'BEARISH'
        when {{ log_return }} is not null and {{ threshold }} is not null
            then 'NEUTRAL'
    end
{%- endmacro %}
