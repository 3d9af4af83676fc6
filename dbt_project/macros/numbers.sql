{# Rows with the numbers `n` from 1 to `limit`; none where that is null. #}
{% macro numbers_up_to(limit) -%}
    {{ return(adapter.dispatch('numbers_up_to')(limit)) }}
{%- endmacro %}


{% macro default__numbers_up_to(limit) -%}
    select explode(sequence(1, {{ limit }})) as n
{%- endmacro %}


{% macro postgres__numbers_up_to(limit) -%}
    select counted.n
    from generate_series(1, {{ limit }}) as counted (n)
{%- endmacro %}
