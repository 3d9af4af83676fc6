with

outcomes as (

    select
        forecast_id,
        symbol_id,
        timeframe,
        horizon,
        horizon_bars,
        run_kind,
        is_late,
        closed_at,
        settled_at,
        settled_date,
        version_id,
        is_hit

    from {{ ref('forecast_outcomes') }}

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

-- A late row could have been issued with the answer at hand; a backtest was.
eligible as (

    select
        outcomes.*,
        symbols.ticker

    from outcomes

    inner join symbols
        on outcomes.symbol_id = symbols.symbol_id

    where
        outcomes.run_kind in ('live', 'replay')
        and not outcomes.is_late

),

-- Among replays of one bar the first issued stays: a later one under another
-- name cannot rewrite what drift was.
ranked as (

    select
        *,
        row_number() over (
            partition by symbol_id, ticker, timeframe, horizon, closed_at
            order by
                case when run_kind = 'live' then 0 else 1 end asc,
                forecast_id asc
        ) as preference

    from eligible

),

one_per_bar as (

    select
        forecast_id,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        horizon_bars,
        closed_at,
        settled_at,
        settled_date,
        version_id,
        is_hit

    from ranked

    where preference = 1

)

select * from one_per_bar
