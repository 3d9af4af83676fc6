{# JSON as each warehouse has it. #}

{# The texts of a JSON array as rows of one column, for a lateral join. #}
{% macro json_array_texts(array) -%}
    {{ return(adapter.dispatch('json_array_texts')(array)) }}
{%- endmacro %}


{% macro default__json_array_texts(array) -%}
    jsonb_array_elements_text({{ array }})
{%- endmacro %}


{% macro spark__json_array_texts(array) -%}
    explode(from_json({{ array }}, 'array<string>'))
{%- endmacro %}
