{%- set features = feature_definitions() | map(attribute=0) | list -%}
{%- set horizon_features = horizon_feature_definitions() -%}

with

feature_rows as (

    select * from {{ ref('feature_rows') }}

    where is_usable

),

targets as (

    select
        symbol_id,
        timeframe,
        horizon,
        horizon_bars,
        bar_number,
        target_bar_number,
        target_at,
        expected_volatility,
        forecast_volatility,
        label_threshold,
    {% for feature, _, _, _, _ in horizon_features %}
        {{ feature }}{{ ',' if not loop.last }}
    {% endfor %}

    from {{ ref('horizon_scales') }}

    where
        expected_volatility is not null
        and target_at is not null

),

examples as (

    select
        feature_rows.symbol_id,
        feature_rows.ticker,
        feature_rows.calendar,
        feature_rows.timeframe,
        targets.horizon,
        targets.horizon_bars,
        feature_rows.bar_number,
        feature_rows.session_date,
        feature_rows.closed_at,
        targets.target_bar_number,
        targets.target_at,
        feature_rows.reference_close,
        targets.expected_volatility,
        targets.forecast_volatility,
        targets.label_threshold,
        feature_rows.max_recorded_at,
        feature_rows.n_carried_bars,
        feature_rows.{{ features | join(',\n        feature_rows.') }},
    {% for feature, _, _, _, _ in horizon_features %}
        targets.{{ feature }}{{ ',' if not loop.last }}
    {% endfor %}

    from feature_rows

    inner join targets
        on
            feature_rows.symbol_id = targets.symbol_id
            and feature_rows.timeframe = targets.timeframe
            and feature_rows.bar_number = targets.bar_number

)

select * from examples
