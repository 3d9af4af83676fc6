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
        label_end_at

    from {{ ref('labels') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        closed_at

    from {{ ref('bar_grid') }}

),

off_grid as (

    select
        labels.symbol_id,
        labels.ticker,
        labels.timeframe,
        labels.horizon,
        labels.bar_number,
        labels.closed_at,
        labels.label_end_at,
        grid.closed_at as grid_closed_at

    from labels

    left join grid
        on
            labels.calendar = grid.calendar
            and labels.timeframe = grid.timeframe
            and labels.bar_number + labels.horizon_bars = grid.bar_number

    where
        coalesce(labels.label_end_at <> grid.closed_at, true)
        and (labels.label_end_at is not null or grid.closed_at is not null)

),

unaccepted as (

    {{ without_exceptions('audit_label_end_off_grid', 'off_grid') }}

)

select * from unaccepted
