{# Short ways through a table that grows for ever. #}

{#
    The timeframes and horizons that `forecasts` has of one symbol, to be joined
    laterally. PostgreSQL steps through the key from one horizon to the next, so
    it costs by the number of horizons and not by that of forecasts.
#}
{% macro horizons_of(symbol_id, forecasts) -%}
    {{ return(adapter.dispatch('horizons_of')(symbol_id, forecasts)) }}
{%- endmacro %}


{% macro default__horizons_of(symbol_id, forecasts) -%}
    (
        select distinct
            forecasts.timeframe,
            forecasts.horizon

        from {{ forecasts }} as forecasts

        where forecasts.symbol_id = {{ symbol_id }}
    )
{%- endmacro %}


{% macro postgres__horizons_of(symbol_id, forecasts) -%}
    (
        with recursive

        steps as (

            (
                select
                    forecasts.timeframe,
                    forecasts.horizon

                from {{ forecasts }} as forecasts

                where forecasts.symbol_id = {{ symbol_id }}

                order by forecasts.timeframe asc, forecasts.horizon asc

                limit 1
            )

            union all

            select
                next_key.timeframe,
                next_key.horizon

            from steps

            cross join lateral (
                select
                    forecasts.timeframe,
                    forecasts.horizon

                from {{ forecasts }} as forecasts

                where
                    forecasts.symbol_id = {{ symbol_id }}
                    and (forecasts.timeframe, forecasts.horizon)
                    > (steps.timeframe, steps.horizon)

                order by forecasts.timeframe asc, forecasts.horizon asc

                limit 1
            ) as next_key

        )

        select
            timeframe,
            horizon

        from steps
    )
{%- endmacro %}
