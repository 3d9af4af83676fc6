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


{# Minutes of the UTC day, 0 to 1439, whatever the session's time zone. #}
{% macro utc_minute_of_day(time) -%}
    mod(cast(floor(date_part('epoch', {{ time }}) / 60) as integer), 1440)
{%- endmacro %}
