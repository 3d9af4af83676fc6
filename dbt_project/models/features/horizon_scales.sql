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
        label_threshold

    from {{ ref('labels') }}

)

select * from labels
