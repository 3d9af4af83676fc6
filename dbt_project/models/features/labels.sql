-- In one process: the other processor is for the feature rows, which are made
-- beside the labels and take longer. What is known at a bar's close stands
-- beside what came of it, so that millions of rows are written once.
{{ config(sql_header=without_parallel_workers()) }}
with

targets as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        bar_number,
        closed_at,
        label_end_bar_number,
        label_end_at,
        label_return,
        is_target_due,
        expected_volatility,
        forecast_volatility,
        label_threshold,
        batch_id

    from {{ ref('int_bars_matched_to_targets') }}

),

measured as (

    select
        *,
        case
            when not is_target_due then 'not_closed'
            when label_return is null then 'missing_bar'
            when expected_volatility is null then 'no_volatility'
        end as label_reason

    from targets

    {{ computed_once() }}

),

final as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        bar_number,
        closed_at,
        cast(
            case
                when label_reason is null then
                    {{ move_class('label_return', 'label_threshold') }}
            end as text
        ) as label,
        case when label_reason is null then label_return end as label_return,
        cast(label_reason as text) as label_reason,
        expected_volatility,
        forecast_volatility,
        label_threshold,
        label_end_bar_number,
        label_end_at,
        batch_id

    from measured

)

select * from final
