{# Arithmetic on times, spelled differently by each warehouse. #}

{% macro minutes_between(earlier, later) -%}
    {{ return(adapter.dispatch('minutes_between')(earlier, later)) }}
{%- endmacro %}


{% macro default__minutes_between(earlier, later) -%}
    cast(extract(epoch from {{ later }} - {{ earlier }}) / 60 as integer)
{%- endmacro %}


{% macro spark__minutes_between(earlier, later) -%}
    cast(
        (unix_timestamp({{ later }}) - unix_timestamp({{ earlier }})) / 60
        as integer
    )
{%- endmacro %}


{% macro plus_minutes(time, minutes) -%}
    {{ return(adapter.dispatch('plus_minutes')(time, minutes)) }}
{%- endmacro %}


{% macro default__plus_minutes(time, minutes) -%}
    {{ time }} + ({{ minutes }}) * interval '1 minute'
{%- endmacro %}


{% macro spark__plus_minutes(time, minutes) -%}
    timestampadd(minute, {{ minutes }}, {{ time }})
{%- endmacro %}


{# Minutes of the UTC day, whatever the session's time zone. #}
{% macro utc_minute_of_day(time) -%}
    extract(hour from {{ time }} at time zone 'UTC') * 60
    + extract(minute from {{ time }} at time zone 'UTC')
{%- endmacro %}
