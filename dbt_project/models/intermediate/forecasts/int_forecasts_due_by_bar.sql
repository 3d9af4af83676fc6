with

-- What took effect together with a later decision never was live.
deployments as (

    select
        symbol_id,
        timeframe,
        horizon,
        min(effective_at) as first_effective_at

    from {{ ref('stg_ml__deployment_spans') }}

    where superseded_at is null or superseded_at > effective_at

    group by symbol_id, timeframe, horizon

),

symbols as (

    select
        symbol_id,
        ticker,
        calendar,
        delisted_at

    from {{ ref('stg_market__symbols') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        session_date,
        closed_at

    from {{ ref('bar_grid') }}

),

-- How far the bars of a calendar reach, whichever series has the newest.
newest_bars as (

    select
        calendar,
        timeframe,
        max(closed_at) as newest_closed_at

    from {{ ref('bars') }}

    group by calendar, timeframe

),

rows_built as (

    select
        symbol_id,
        timeframe,
        bar_number,
        unusable_reason

    from {{ ref('feature_rows') }}

),

forecasts as (

    select
        symbol_id,
        timeframe,
        horizon,
        bar_number,
        is_late

    from {{ ref('stg_ml__forecasts') }}

    where run_kind in {{ counted_kinds() }}

),

due as (

    select
        deployments.symbol_id,
        symbols.ticker,
        deployments.timeframe,
        deployments.horizon,
        grid.bar_number,
        grid.session_date,
        grid.closed_at

    from deployments

    inner join symbols
        on deployments.symbol_id = symbols.symbol_id

    inner join newest_bars
        on
            symbols.calendar = newest_bars.calendar
            and deployments.timeframe = newest_bars.timeframe

    inner join grid
        on
            symbols.calendar = grid.calendar
            and deployments.timeframe = grid.timeframe
            and deployments.first_effective_at <= grid.closed_at
            and newest_bars.newest_closed_at >= grid.closed_at

    where
        symbols.delisted_at is null
        or grid.closed_at <= symbols.delisted_at

),

-- What is due and what was issued behind each other, to be counted by bar: that
-- takes one pass over both, whatever the planner makes of their sizes.
listed as (

    select
        symbol_id,
        ticker,
        timeframe,
        horizon,
        bar_number,
        session_date,
        closed_at,
        1 as is_due,
        cast(null as integer) as is_late

    from due

    union all

    select
        forecasts.symbol_id,
        symbols.ticker,
        forecasts.timeframe,
        forecasts.horizon,
        forecasts.bar_number,
        cast(null as date) as session_date,
        cast(null as timestamp with time zone) as closed_at,
        0 as is_due,
        case when forecasts.is_late then 1 else 0 end as is_late

    from forecasts

    inner join symbols
        on forecasts.symbol_id = symbols.symbol_id

),

matched as (

    select
        symbol_id,
        ticker,
        timeframe,
        horizon,
        bar_number,
        max(session_date) as session_date,
        max(closed_at) as closed_at,
        min(is_late) as is_late_only

    from listed

    group by symbol_id, ticker, timeframe, horizon, bar_number

    having max(is_due) = 1

),

explained as (

    select
        matched.symbol_id,
        matched.ticker,
        matched.timeframe,
        matched.horizon,
        matched.bar_number,
        matched.session_date,
        matched.closed_at,
        case
            when matched.is_late_only = 0 then 'issued'
            when matched.is_late_only = 1 then 'issued_late'
            when rows_built.symbol_id is null then 'missing_bar'
            when rows_built.unusable_reason is not null
                then 'unusable_' || rows_built.unusable_reason
            else 'not_issued'
        end as result

    from matched

    left join rows_built
        on
            matched.symbol_id = rows_built.symbol_id
            and matched.timeframe = rows_built.timeframe
            and matched.bar_number = rows_built.bar_number

)

select * from explained
