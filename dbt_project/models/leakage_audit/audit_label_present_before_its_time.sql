with

labels as (

    select
        symbol_id,
        ticker,
        timeframe,
        horizon,
        bar_number,
        closed_at,
        label_end_at

    from {{ ref('labels') }}

    where label is not null or label_return is not null

),

last_bars as (

    select
        symbol_id,
        timeframe,
        max(closed_at) as last_closed_at

    from {{ ref('bars') }}

    group by symbol_id, timeframe

),

early as (

    select
        labels.symbol_id,
        labels.ticker,
        labels.timeframe,
        labels.horizon,
        labels.bar_number,
        labels.closed_at,
        labels.label_end_at,
        last_bars.last_closed_at

    from labels

    inner join last_bars
        on
            labels.symbol_id = last_bars.symbol_id
            and labels.timeframe = last_bars.timeframe

    where
        labels.label_end_at is null
        or labels.label_end_at > last_bars.last_closed_at

),

unaccepted as (

    {{ without_exceptions('audit_label_present_before_its_time', 'early') }}

)

select * from unaccepted
