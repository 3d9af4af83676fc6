{#
    Incremental strategy of a small table that is computed whole in every run:
    rows that are new, changed or gone are written, all others stay. So the
    table is never replaced, which would take the views behind it along, and
    whoever reads it meanwhile reads it as it was.
#}
{% macro get_incremental_changed_rows_sql(arguments) -%}
    {%- set built = arguments['target_relation'] -%}
    {%- set made = arguments['temp_relation'] -%}
    {%- set same_key = [] -%}
    {%- for column in arguments['unique_key'] -%}
        {%- do same_key.append('made.' ~ column ~ ' = built.' ~ column) -%}
    {%- endfor -%}
    {%- set names, of_made, of_built = [], [], [] -%}
    {%- for column in arguments['dest_columns'] -%}
        {%- do names.append(column.quoted) -%}
        {%- do of_made.append('made.' ~ column.quoted) -%}
        {%- do of_built.append('built.' ~ column.quoted) -%}
    {%- endfor -%}
    delete from {{ built }} as built
    where not exists (
        select 1
        from {{ made }} as made
        where
            {{ same_key | join(' and ') }}
            and row({{ of_made | join(', ') }})
            is not distinct from row({{ of_built | join(', ') }})
    );

    insert into {{ built }} ({{ names | join(', ') }})
    select {{ names | join(', ') }}
    from {{ made }} as made
    where not exists (
        select 1
        from {{ built }} as built
        where {{ same_key | join(' and ') }}
    )
{%- endmacro %}
