{#- Probability given to what came true, kept off zero so that a log exists. -#}
{%- set smallest_probability = 1e-6 -%}
{%- set levels = [50, 80, 95] -%}

with

settled as (

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
        realized_return,
        expected_volatility,
        label_threshold,
        probability_bearish,
        probability_neutral,
        probability_bullish,
        climatology_bearish,
        climatology_neutral,
        climatology_bullish,
        reference_close,
        lower_50,
        upper_50,
        lower_80,
        upper_80,
        lower_95,
        upper_95

    from {{ ref('int_forecasts_joined_to_target_bars') }}

),

-- By the threshold the forecast was issued with.
classified as (

    select
        *,
        {{ move_class('realized_return', 'label_threshold') }} as outcome

    from settled

),

compared as (

    select
        *,
        case when outcome = 'BEARISH' then 1 else 0 end as was_bearish,
        case when outcome = 'NEUTRAL' then 1 else 0 end as was_neutral,
        case when outcome = 'BULLISH' then 1 else 0 end as was_bullish,
        case outcome
            when 'BEARISH' then probability_bearish
            when 'NEUTRAL' then probability_neutral
            else probability_bullish
        end as probability_of_outcome,
        -- Bands are around the close as traded, the move is on today's basis:
        -- they meet as log returns.
        {% for level in levels -%}
            ln(lower_{{ level }} / reference_close) as lower_return_{{ level }},
            ln(upper_{{ level }} / reference_close) as upper_return_{{ level }},
        {% endfor -%}
        case outcome
            when 'BEARISH' then climatology_bearish
            when 'NEUTRAL' then climatology_neutral
            else climatology_bullish
        end as climatology_of_outcome

    from classified

),

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
        realized_return,
        label_threshold,
        outcome,
        direction = outcome as is_hit,
        -ln(greatest(probability_of_outcome, {{ smallest_probability }}))
            as log_loss,
        -ln(greatest(climatology_of_outcome, {{ smallest_probability }}))
            as climatology_log_loss,
        {{ brier_score('probability') }} as brier_score,
        {% for level in levels -%}
            realized_return
            between lower_return_{{ level }} and upper_return_{{ level }}
                as is_inside_{{ level }},
        {% endfor -%}
        {{ brier_score('climatology') }} as climatology_brier_score,
        {% for level in levels -%}
            realized_return < lower_return_{{ level }}
                as is_below_{{ level }},
            {{ interval_score(
                'realized_return',
                'lower_return_' ~ level,
                'upper_return_' ~ level,
                level,
            ) }} as interval_score_{{ level }},
        {% endfor -%}
        expected_volatility

    from compared

)

select * from scored
