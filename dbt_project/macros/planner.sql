{# Hints to the planner. They change no result and are empty elsewhere. #}

{#
    Ends a step whose columns others read many times: without it PostgreSQL
    merges the steps and computes each column anew wherever it is read. Ends a
    lateral step that finds a few rows by their key: merged, it reads them all.
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


{# Header of a statement that keeps to one process, its keys included. #}
{% macro without_parallel_workers() -%}
    {{ return(adapter.dispatch('without_parallel_workers')()) }}
{%- endmacro %}


{% macro default__without_parallel_workers() -%}{%- endmacro %}


{% macro postgres__without_parallel_workers() -%}
    set local max_parallel_workers_per_gather = 0;
    set local max_parallel_maintenance_workers = 0;
{%- endmacro %}


{#
    Hook of a table that is joined by several columns together: without it each
    is taken to be alone, and the larger side of the join goes into memory.
    Analyzes the table, too.
#}
{% macro count_together(columns) -%}
    {{ return(adapter.dispatch('count_together')(columns)) }}
{%- endmacro %}


{% macro default__count_together(columns) -%}{%- endmacro %}


{% macro postgres__count_together(columns) -%}
    {%- set name = this.incorporate(
        path={'identifier': this.identifier ~ '_together'}
    ) -%}
    drop statistics if exists {{ name }};
    create statistics {{ name }} (ndistinct)
    on {{ columns | join(', ') }}
    from {{ this }};
    analyze {{ this }}
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


{#
    A condition that always holds and is guessed to hold for one row in two
    hundred: the table that `column` is of is read first, and others are joined
    to what the conditions beside this leave of it. For a step that looks for
    what should not be there.
#}
{% macro read_first(column) -%}
    {{ return(adapter.dispatch('read_first')(column)) }}
{%- endmacro %}


{% macro default__read_first(column) -%}
    true
{%- endmacro %}


{% macro postgres__read_first(column) -%}
    {{ column }} + 0 = {{ column }}
{%- endmacro %}


{#
    Condition that `column` is among what `query` yields. PostgreSQL looks first
    and takes the answer into the views that `column` comes from; a join it puts
    on top of all that they read.
#}
{% macro is_among(column, query) -%}
    {{ return(adapter.dispatch('is_among')(column, query)) }}
{%- endmacro %}


{% macro default__is_among(column, query) -%}
    {{ column }} in ({{ query }})
{%- endmacro %}


{% macro postgres__is_among(column, query) -%}
    {{ column }} = any(array({{ query }}))
{%- endmacro %}
