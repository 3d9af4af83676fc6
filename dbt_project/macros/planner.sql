{# Hints to the planner. They change no result and are empty elsewhere. #}

{#
    Ends a step whose columns others read many times: without it PostgreSQL
    merges the steps and computes each column anew wherever it is read.
#}
{% macro computed_once() -%}
    {{ return(adapter.dispatch('computed_once')()) }}
{%- endmacro %}


{% macro default__computed_once() -%}{%- endmacro %}


{% macro postgres__computed_once() -%}
    offset 0
{%- endmacro %}


{#
    Header of a large insert: rows keep the order that their windows put them
    in, instead of being sorted again to be merged with a small table.
#}
{% macro without_merge_joins() -%}
    {{ return(adapter.dispatch('without_merge_joins')()) }}
{%- endmacro %}


{% macro default__without_merge_joins() -%}{%- endmacro %}


{% macro postgres__without_merge_joins() -%}
    set local enable_mergejoin = off;
{%- endmacro %}


{#
    Header of a statement whose steps are guessed to yield one row: they are
    matched by all keys at once, not each with each.
#}
{% macro with_hash_joins() -%}
    {{ return(adapter.dispatch('with_hash_joins')()) }}
{%- endmacro %}


{% macro default__with_hash_joins() -%}{%- endmacro %}


{% macro postgres__with_hash_joins() -%}
    set local enable_mergejoin = off;
    set local enable_nestloop = off;
{%- endmacro %}
