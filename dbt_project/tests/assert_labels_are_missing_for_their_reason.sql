-- A label whose target bar has closed is there, or cannot be made. What is kept
-- back would be missing from every training without a trace.
with

labels as (

    select
        symbol_id,
        ticker,
        timeframe,
        horizon,
        bar_number,
        label_reason,
        expected_volatility,
        label_end_bar_number

    from {{ ref('labels') }}

    where label is null

),

bars as (

    select
        symbol_id,
        timeframe,
        bar_number

    from {{ ref('bars') }}

),

last_bars as (

    select
        symbol_id,
        timeframe,
        max(bar_number) as bar_number

    from bars

    group by symbol_id, timeframe

),

explained as (

    select
        labels.*,
        case
            when labels.label_end_bar_number > last_bars.bar_number
                then 'not_closed'
            when targets.symbol_id is null then 'missing_bar'
            when labels.expected_volatility is null then 'no_volatility'
        end as reason

    from labels

    inner join last_bars
        on
            labels.symbol_id = last_bars.symbol_id
            and labels.timeframe = last_bars.timeframe

    left join bars as targets
        on
            labels.symbol_id = targets.symbol_id
            and labels.timeframe = targets.timeframe
            and labels.label_end_bar_number = targets.bar_number

),

unexplained as (

    select * from explained

    where coalesce(label_reason <> reason, true)

)

select * from unexplained
