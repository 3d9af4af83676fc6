{# Which of several forecasts of one bar is read. #}

{#-
    Order of forecasts of one series, horizon and bar. Among replays the first
    issued stays: a later one under another name cannot rewrite what was.
-#}
{% macro live_before_replay() -%}
    case when run_kind = 'live' then 0 else 1 end asc,
    forecast_id asc
{%- endmacro %}
