-- The sessions are asked themselves, not the grid that was made from them. A
-- session crosses at most one midnight UTC, so one of its two dates is that of
-- every time within it, and the join is on equality.
with

bars as (

    select
        symbol_id,
        timeframe,
        opened_at,
        closed_at

    from {{ ref('stg_market__bars') }}

),

symbols as (

    select
        symbol_id,
        ticker,
        calendar

    from {{ ref('stg_market__symbols') }}

),

sessions as (

    select
        calendar,
        opened_at,
        closed_at

    from {{ ref('stg_market__sessions') }}

),

dated_sessions as (

    select
        *,
        {{ utc_date('opened_at') }} as utc_date

    from sessions

    union distinct

    select
        *,
        {{ utc_date('closed_at') }} as utc_date

    from sessions

),

dated_bars as (

    select
        bars.symbol_id,
        symbols.ticker,
        symbols.calendar,
        bars.timeframe,
        bars.opened_at,
        bars.closed_at,
        {{ utc_date('bars.opened_at') }} as opened_date,
        {{ utc_date('bars.closed_at') }} as closed_date

    from bars

    inner join symbols
        on bars.symbol_id = symbols.symbol_id

),

-- A week's bar opens in one session and closes in another.
without_session as (

    select
        dated_bars.symbol_id,
        dated_bars.ticker,
        dated_bars.timeframe,
        dated_bars.opened_at,
        dated_bars.closed_at

    from dated_bars

    left join dated_sessions as opening
        on
            dated_bars.calendar = opening.calendar
            and dated_bars.opened_date = opening.utc_date
            and dated_bars.opened_at >= opening.opened_at
            and dated_bars.opened_at < opening.closed_at

    left join dated_sessions as closing
        on
            dated_bars.calendar = closing.calendar
            and dated_bars.closed_date = closing.utc_date
            and dated_bars.closed_at > closing.opened_at
            and dated_bars.closed_at <= closing.closed_at

    where
        opening.calendar is null
        or closing.calendar is null

),

unaccepted as (

    {{ without_exceptions('audit_bar_without_session', 'without_session') }}

)

select * from unaccepted
