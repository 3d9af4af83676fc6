{# Rows, and of these the labels of each class, in a grouped select. #}
{% macro class_counts() -%}
    count(*) as n_rows,
    {% for class in ['BEARISH', 'NEUTRAL', 'BULLISH'] -%}
        sum(case when label = '{{ class }}' then 1 else 0 end)
            as n_{{ class | lower }}
        {{- ',\n        ' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
