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
