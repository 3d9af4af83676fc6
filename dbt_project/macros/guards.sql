{# Arithmetic that answers null where Postgres would end the build. #}

{% macro guarded_ratio(numerator, denominator) -%}
    ({{ numerator }}) / nullif({{ denominator }}, 0)
{%- endmacro %}


{% macro guarded_log(expression) -%}
    ln(case when {{ expression }} > 0 then {{ expression }} end)
{%- endmacro %}


{# Log ratio of two volatilities, given as variances. #}
{% macro half_log_ratio(variance, other_variance) -%}
    0.5 * (
        {{ guarded_log(variance) }}
        - {{ guarded_log(other_variance) }}
    )
{%- endmacro %}


{# Square root of a variance, which rounding may leave just under zero. #}
{% macro guarded_sqrt(expression) -%}
    sqrt(case when {{ expression }} >= 0 then {{ expression }} else 0 end)
{%- endmacro %}


{% macro infinity() -%}
    cast('Infinity' as double precision)
{%- endmacro %}


{# Each of `columns` where `condition` holds, else null. #}
{% macro kept_where(condition, columns) -%}
    {%- for column in columns -%}
        case when {{ condition }} then {{ column }} end as {{ column }}
        {{- ',\n        ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{#
    Exponential that neither overflows nor underflows, whatever the data say:
    Postgres would end the build. What lies beyond is no adjustment of a market
    and named by `series_findings`.
#}
{% macro guarded_exp(expression) -%}
    {%- set largest = largest_log_factor() -%}
    exp(greatest(least({{ expression }}, {{ largest }}), -{{ largest }}))
{%- endmacro %}


{# Largest logarithm of all adjustments of a series together. #}
{% macro largest_log_factor() -%}
    {{ return(25) }}
{%- endmacro %}


{#
    Whether prices and volume of a record can be those of a bar. Beyond these
    bounds sums and ratios overflow, which would end the build for every series.
#}
{% macro is_possible_bar(record) -%}
    (
        {{ record }}.low >= {{ var('lowest_price') }}
        and {{ record }}.high <= {{ var('highest_price') }}
        and {{ record }}.volume <= {{ var('highest_volume') }}
    )
{%- endmacro %}
