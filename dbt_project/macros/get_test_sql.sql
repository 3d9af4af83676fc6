{#
    In place of dbt's own macro of the same name. Data tests read whole tables.
    How many rows lie under a cut is guessed far too low, and looking each up in
    the next table takes several times as long as matching all by hash. The hint
    ends with the transaction of the test.

    A view that looks up the last rows of each series takes far longer that way;
    its tests say so by `meta: {looks_up: true}`.
#}
{% macro postgres__get_test_sql(
    main_sql, fail_calc, warn_if, error_if, limit
) -%}
    {%- if not config.get('meta', {}).get('looks_up', false) %}
        {{ with_hash_joins() }}
    {%- endif %}
    {{ default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) }}
{%- endmacro %}
