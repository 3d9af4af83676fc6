{%- set horizon_features = horizon_feature_definitions() -%}

-- Stored with the labels, since writing these rows a second time would double
-- the time that labels take. Nothing of what came after the close is read.
with

labels as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        bar_number,
        closed_at,
        label_end_bar_number as target_bar_number,
        label_end_at as target_at,
        expected_volatility,
        forecast_volatility,
        label_threshold,
    {% for feature, _, _, _, formula in horizon_features %}
        {{ formula }} as {{ feature }}{{ ',' if not loop.last }}
    {% endfor %}

    from {{ ref('labels') }}

)

select * from labels
