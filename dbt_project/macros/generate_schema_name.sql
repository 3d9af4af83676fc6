{#
    Schemas have exactly the names of the project's layout, behind the prefix
    that a shared server asks for. A build of the past has schemas of its own,
    as have the views of a backtest.
    Sources are what was loaded, which there is once: they keep their names.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set name -%}
        {{ env_var('SWIFTBOLT_SCHEMA_PREFIX', '') }}
        {{- knowledge_prefix() }}
        {{- backtest_prefix(node) }}
        {{- (custom_schema_name or target.schema) | trim }}
    {%- endset -%}
    {#- Postgres would cut it, to a name that others may have. -#}
    {%- if name | length > 63 -%}
        {{ exceptions.raise_compiler_error(
            "The schema name " ~ name ~ " is longer than 63 characters; use a "
            ~ "shorter SWIFTBOLT_SCHEMA_PREFIX or a date for as_of."
        ) }}
    {%- endif -%}
    {{ name }}
{%- endmacro %}
