-- Every bar with each of its horizons and the bar found where that ends, if
-- any. The one place where features' bars look ahead.
--
-- The bars stand twice: shared, they would be a heap without an index, and the
-- planner, which takes all labels for a handful, would search it for each.
with

targets as (

    select
        bars.symbol_id,
        bars.timeframe,
        bars.bar_number,
        bars.adjusted_close,
        bars.batch_id

    from {{ ref('bars') }} as bars

    {% if built_relation('labels') -%}
        -- A few of each series, where not all are wanted.
        inner join {{ ref('int_series_due') }} as due
            on
                bars.symbol_id = due.symbol_id
                and bars.timeframe = due.timeframe
                and bars.bar_number > due.from_label_bar_number
    {%- endif %}

),

series as (

    select
        series_number,
        last_bar_number

    from {{ ref('int_series_due') }}

),

scaled as (

    select * from {{ ref('int_bars_scaled_to_horizons') }}

),

matched as (

    select
        scaled.symbol_id,
        scaled.ticker,
        scaled.calendar,
        scaled.timeframe,
        scaled.horizon,
        scaled.horizon_bars,
        scaled.bar_number,
        scaled.closed_at,
        scaled.target_bar_number as label_end_bar_number,
        scaled.target_at as label_end_at,
        scaled.expected_volatility,
        scaled.forecast_volatility,
        scaled.label_threshold,
        {{ forward_log_return(
            'scaled.adjusted_close', 'targets.adjusted_close'
        ) }} as label_return,
        scaled.target_bar_number <= series.last_bar_number as is_target_due,
        -- A label is as new as the newer of the bars that it lies between.
        greatest(
            scaled.batch_id, coalesce(targets.batch_id, scaled.batch_id)
        ) as batch_id

    from scaled

    inner join series
        on scaled.series_number = series.series_number

    left join targets
        on
            scaled.symbol_id = targets.symbol_id
            and scaled.timeframe = targets.timeframe
            and scaled.target_bar_number = targets.bar_number

)

select * from matched
