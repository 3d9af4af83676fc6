{# To be selected from: rows with the numbers `n` from 1 to `limit`, if any. #}
{% macro numbers_up_to(limit) -%}
    {{ return(adapter.dispatch('numbers_up_to')(limit)) }}
{%- endmacro %}


{% macro default__numbers_up_to(limit) -%}
    (select explode(sequence(1, {{ limit }})) as n) as counted
{%- endmacro %}


{% macro postgres__numbers_up_to(limit) -%}
    generate_series(1, {{ limit }}) as counted (n)
{%- endmacro %}
