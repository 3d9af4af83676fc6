{# How sure a mean is whose rows overlap and share days. #}

{#
    Block of grid bars that a bar lies in, the same for every series: a horizon
    long, but never less than five sessions. Rows of one block may depend on
    each other in any way.
#}
{% macro market_block(bar_number, horizon_bars, full_session_bars) -%}
    cast(
        floor(
            {{ bar_number }}
            / greatest(5 * {{ full_session_bars }}, {{ horizon_bars }})
        ) as integer
    )
{%- endmacro %}


{#
    An end of the 95% Wilson interval of a share over `n` independent
    observations, which stays inside 0 and 1 and has a width at 0 and at 1. At
    these it ends in the share itself, which rounding would miss.
#}
{% macro wilson_end(share, n, side) -%}
    {#- The standard normal quantile at 0.975. -#}
    {%- set z = 1.959963984540054 -%}
    case
        when {{ share }} {{ '> 0' if side == 'lower' else '< 1' }}
            then
                (
                    {{ share }} + {{ z * z }} / (2 * {{ n }})
                    {{ '-' if side == 'lower' else '+' }} {{ z }} * sqrt(
                        {{ share }} * (1 - {{ share }}) / {{ n }}
                        + {{ z * z }} / (4 * {{ n }} * {{ n }})
                    )
                )
                / (1 + {{ z * z }} / {{ n }})
        else {{ share }}
    end
{%- endmacro %}
