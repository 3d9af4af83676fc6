{# Which of several forecasts of one bar is read. #}

{#-
    Order of forecasts of one series, horizon and bar. Among replays the first
    issued stays: a later one under another name cannot rewrite what was.
-#}
{% macro live_before_replay(forecasts=none) -%}
    {%- set prefix = forecasts ~ '.' if forecasts else '' -%}
    case when {{ prefix }}run_kind = 'live' then 0 else 1 end asc,
    {{ prefix }}forecast_id asc
{%- endmacro %}


{#
    Condition on a row of `forecasts` to count at all: neither a backtest nor
    late. A late row could have been issued with the answer at hand; a backtest
    was.
#}
{% macro may_count(forecasts) -%}
    {{ forecasts }}.run_kind in {{ counted_kinds() }}
    and not {{ forecasts }}.is_late
{%- endmacro %}


{#
    Condition on a row of `forecasts` that no other row of `relation` about the
    same bar goes before it, in the order of `live_before_replay`.
#}
{% macro is_first_of_its_bar(forecasts, relation) -%}
    not exists (
        select 1 as is_before

        from {{ relation }} as others

        where
            others.symbol_id = {{ forecasts }}.symbol_id
            and others.timeframe = {{ forecasts }}.timeframe
            and others.horizon = {{ forecasts }}.horizon
            and others.closed_at = {{ forecasts }}.closed_at
            and {{ may_count('others') }}
            and (
                (
                    others.run_kind = {{ forecasts }}.run_kind
                    and others.forecast_id < {{ forecasts }}.forecast_id
                )
                or (
                    others.run_kind = 'live'
                    and {{ forecasts }}.run_kind = 'replay'
                )
            )
    )
{%- endmacro %}


{#
    Pre-hook of `forecast_outcomes`: say of what settled before `is_counted` was
    kept whether it counts. Later runs find the column and do nothing.
#}
{% macro decide_what_counts(forecasts) -%}
    {%- if execute and is_incremental() -%}
        {%- set columns = adapter.get_columns_in_relation(this) -%}
        {%- if 'is_counted' not in columns | map(attribute='name') -%}
            alter table {{ this }} add column is_counted boolean;
            update {{ this }} as outcomes
            set
                is_counted
                = {{ may_count('outcomes') }}
                and {{ is_first_of_its_bar('outcomes', forecasts) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{#
    Whether a row of `ml.forecasts` is about a bar that had not closed when it
    was issued, or was issued at another time than it was written: then nobody
    knows when it was issued, and it counts as late. Ten minutes are what clocks
    may differ by, and are those of `python_ml.warehouse.clock`. Rows from
    before `written_at` was kept have nothing to compare with.
#}
{% macro has_impossible_time() -%}
    (
        run_kind = 'live'
        and (
            issued_at < closed_at
            or coalesce(
                issued_at < {{ plus_minutes('written_at', -clock_tolerance()) }}
                or issued_at
                > {{ plus_minutes('written_at', clock_tolerance()) }},
                false
            )
        )
    )
{%- endmacro %}


{# Minutes that clocks may differ by. #}
{% macro clock_tolerance() -%}
    {{ return(10) }}
{%- endmacro %}
