with

sessions as (

    select
        calendar,
        session_number,
        week_number,
        session_date,
        opened_at,
        closed_at

    from {{ ref('int_sessions_numbered_by_week') }}

),

weeks as (

    select
        calendar,
        week_number,
        last_session_number,
        session_date,
        opened_at,
        closed_at,
        n_sessions

    from {{ ref('int_weeks_grouped_from_sessions') }}

),

-- A week is known at the close of its last session: until then the sessions in
-- it look up to the week before.
daily as (

    select
        sessions.calendar,
        cast('d1' as text) as timeframe,
        sessions.session_number as bar_number,
        sessions.session_date,
        1 as n_sessions,
        sessions.opened_at,
        sessions.closed_at,
        cast('w1' as text) as higher_timeframe,
        case
            when sessions.session_number = weeks.last_session_number
                then sessions.week_number
            when sessions.week_number > 1 then sessions.week_number - 1
        end as higher_bar_number

    from sessions

    left join weeks
        on
            sessions.calendar = weeks.calendar
            and sessions.week_number = weeks.week_number

),

weekly as (

    select
        calendar,
        cast('w1' as text) as timeframe,
        week_number as bar_number,
        session_date,
        n_sessions,
        opened_at,
        closed_at,
        cast(null as text) as higher_timeframe,
        cast(null as integer) as higher_bar_number

    from weeks

),

combined as (

    select * from daily

    union all

    select * from weekly

),

typed as (

    select
        calendar,
        timeframe,
        cast(bar_number as integer) as bar_number,
        session_date,
        cast(n_sessions as integer) as n_sessions,
        opened_at,
        closed_at,
        higher_timeframe,
        cast(higher_bar_number as integer) as higher_bar_number

    from combined

)

select * from typed
