{#
    Schemas have exactly the names of the project's layout, behind the prefix
    that a shared server asks for.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ env_var('SWIFTBOLT_SCHEMA_PREFIX', '') }}
    {{- custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}
