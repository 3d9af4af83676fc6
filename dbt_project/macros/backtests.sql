{#
    The views on forecasts, of one backtest: with the var `backtest`, its name,
    they are built into schemas of their own, `backtest_monthly_monitoring`, and
    read its forecasts and deployments in place of the live ones.
#}

{# Condition on `run_name` of what belongs to the backtest. #}
{% macro is_of_the_backtest() -%}
    run_name = '{{ var('backtest', none) }}'
{%- endmacro %}


{# Kinds of forecasts that count: live and replayed, or those of a backtest. #}
{% macro counted_kinds() -%}
    {%- if var('backtest', none) is none -%}
        ('live', 'replay')
    {%- else -%}
        ('backtest')
    {%- endif -%}
{%- endmacro %}


{# Prefix of the schemas of what reads forecasts; bars and features stay. #}
{% macro backtest_prefix(node) -%}
    {%- set folders = [
        ['staging', 'ml'],
        ['intermediate', 'forecasts'],
        ['forecasting'],
        ['monitoring'],
        ['leakage_audit'],
    ] -%}
    {%- set name = var('backtest', none) -%}
    {%- if name is not none -%}
        {%- set pattern = '[a-z0-9][a-z0-9_]{0,29}' -%}
        {%- if not modules.re.fullmatch(pattern, name ~ '') -%}
            {{ exceptions.raise_compiler_error(
                "The var backtest is '" ~ name ~ "'; use the name of a run in "
                ~ "ml.backtest_runs."
            ) }}
        {%- endif -%}
        {%- set place = node.fqn[1:] if node else [] -%}
        {%- for folder in folders -%}
            {%- if node.resource_type == 'model'
                and place[: folder | length] == folder -%}
                backtest_{{ name }}_
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
