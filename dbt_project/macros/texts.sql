{# Text and JSON, spelled differently by each warehouse. #}

{# Texts of a group, in order and with commas between; nulls are left out. #}
{% macro joined_text(expression, ordered_by) -%}
    {{ return(adapter.dispatch('joined_text')(expression, ordered_by)) }}
{%- endmacro %}


{% macro default__joined_text(expression, ordered_by) -%}
    string_agg({{ expression }}, ', ' order by {{ ordered_by }} asc)
{%- endmacro %}


{% macro spark__joined_text(expression, ordered_by) -%}
    listagg({{ expression }}, ', ')
    within group (order by {{ ordered_by }} asc)
{%- endmacro %}


{# Entries of a JSON object: a name and a value each. #}
{% macro entries_of(json) -%}
    {{ return(adapter.dispatch('entries_of')(json)) }}
{%- endmacro %}


{% macro default__entries_of(json) -%}
    jsonb_each({{ json }})
{%- endmacro %}


{% macro spark__entries_of(json) -%}
    explode(from_json({{ json }}, 'map<string, array<double>>'))
{%- endmacro %}


{# Number at a place of a JSON array, from 0; null beyond its end. #}
{% macro number_at(json, place) -%}
    {{ return(adapter.dispatch('number_at')(json, place)) }}
{%- endmacro %}


{% macro default__number_at(json, place) -%}
    cast({{ json }} ->> {{ place }} as double precision)
{%- endmacro %}


{% macro spark__number_at(json, place) -%}
    {{ json }}[{{ place }}]
{%- endmacro %}
