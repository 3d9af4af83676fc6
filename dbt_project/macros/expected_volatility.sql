{#
    The common scale of labels, bands and features: the square root of the
    variance to expect, summed over bars. Null where nothing has moved.
#}
{% macro volatility_of(variance, bars) -%}
    {%- set floor = var('volatility_floor') -%}
    case
        when
            {{ variance }}
            > {{ bars }} * cast(power({{ floor }}, 2) as double precision)
            then sqrt({{ variance }})
    end
{%- endmacro %}
