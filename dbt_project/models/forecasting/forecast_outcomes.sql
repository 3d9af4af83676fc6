{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        full_refresh=none
            if is_of_the_past() or var('backtest', none) is not none
            else false,
        pre_hook=[
            "{{ decide_what_counts(ref('stg_ml__forecasts')) }}",
            "{{ add_new_checks() }}",
        ],
        indexes=[{'columns': ['symbol_id', 'timeframe', 'settled_at']}],
    )
}}

{%- set unsettled -%}
    select forecasts.forecast_id

    from {{ ref('stg_ml__forecasts') }} as forecasts

    left join {{ this }} as settled
        on forecasts.forecast_id = settled.forecast_id

    where settled.forecast_id is null
{%- endset %}

with

scored as (

    select
        forecast_id,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        horizon_bars,
        run_kind,
        run_name,
        is_late,
        version_id,
        closed_at,
        target_at,
        settled_at,
        settled_date,
        target_recorded_at,
        direction,
        outcome,
        is_hit,
        realized_return,
        label_threshold,
        log_loss,
        climatology_log_loss,
        brier_score,
        is_inside_50,
        is_inside_80,
        is_inside_95,
        climatology_brier_score,
        is_below_50,
        interval_score_50,
        is_below_80,
        interval_score_80,
        is_below_95,
        interval_score_95,
        expected_volatility

    from {{ ref('int_forecasts_scored_to_outcomes') }}

),

-- A forecast settles once. What is here stays as it is, whatever happens to
-- its bars later; hence no full refresh either, but for builds of the past.
newly_settled as (

    select
        scored.*,
        {{ may_count('scored') }}
        and {{ is_first_of_its_bar('scored', ref('stg_ml__forecasts')) }}
            as is_counted

    from scored
    {% if is_incremental() %}

        -- By their numbers: bars are looked up for these alone then.
        where
            {{ is_among('scored.forecast_id', unsettled) }}

    {% endif %}
)

select * from newly_settled
