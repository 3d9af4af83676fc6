{#
    In place of dbt's own macro of the same name. dbt creates an empty table by
    the contract and inserts into it, which PostgreSQL plans for one processor
    and checks row by row. A table under contract is created from its query
    here, and then given the constraints, which are checked in one scan. The
    contract's columns and types are compared with the query's before, as by
    dbt.
#}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- set sql_header = config.get('sql_header', none) -%}
    {%- set contract = config.get('contract') -%}
    {%- set is_contracted = contract.enforced and not temporary -%}
    {{ sql_header if sql_header is not none }}

    {%- if contract.enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif %}

    create {{ 'temporary' if temporary else 'unlogged' if config.get('unlogged', false) }}
    table {{ relation }} as (
        {{ get_select_subquery(sql) if is_contracted else sql }}
    );
    {% if is_contracted -%}
        {{ add_constraints(relation) }}
    {%- endif %}
{%- endmacro %}


{# Constraints of the contract of this dbt model, added to its table at once. #}
{% macro add_constraints(relation) -%}
    {%- set added = [] -%}
    {%- for column in model['columns'].values() -%}
        {%- for constraint in column.constraints -%}
            {%- if constraint.type != 'not_null' -%}
                {{ exceptions.raise_compiler_error(
                    "Column " ~ column.name ~ " of " ~ relation ~ " has a "
                    ~ "constraint of the type " ~ constraint.type ~ ". Give it "
                    ~ "to the dbt model instead; columns know not_null only."
                ) }}
            {%- endif -%}
            {%- do added.append(
                'alter column ' ~ adapter.quote(column.name) ~ ' set not null'
            ) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for constraint in adapter.render_raw_model_constraints(
        raw_constraints=model['constraints']
    ) -%}
        {%- do added.append('add ' ~ constraint) -%}
    {%- endfor -%}
    {%- if added -%}
        {{ ' '.join(['alter table', relation | string, added | join(', ')]) }};
    {%- endif -%}
{%- endmacro %}


{#
    Pre-hook of a table that is never made anew: give it the checks that its
    contract has come to have since it was made. They hold for what is written
    from now on; rows that stand are not read again.
#}
{% macro add_new_checks() -%}
    {%- if execute and is_incremental() -%}
        {%- set found = run_query(
            "select conname from pg_constraint where conrelid = '" ~ this
            ~ "'::regclass"
        ) -%}
        {%- set checks = model['constraints']
            | selectattr('type', 'equalto', 'check')
            | rejectattr('name', 'in', found.columns[0].values())
            | list -%}
        {%- for check in adapter.render_raw_model_constraints(
            raw_constraints=checks
        ) -%}
            alter table {{ this }} add {{ check }} not valid;
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
