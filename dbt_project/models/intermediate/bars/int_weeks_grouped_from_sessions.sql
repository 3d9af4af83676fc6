-- The calendar's last week is left out: later sessions of it may not be in
-- raw.sessions yet, and its close would move when they arrive.
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
        min(session_number) as first_session_number,
        max(session_number) as last_session_number,
        max(session_date) as session_date,
        min(opened_at) as opened_at,
        max(closed_at) as closed_at,
        count(*) as n_sessions

    from sessions

    group by calendar, week_number

),

last_weeks as (

    select
        calendar,
        max(week_number) as week_number

    from sessions

    group by calendar

),

whole_weeks as (

    select weeks.*

    from weeks

    inner join last_weeks
        on
            weeks.calendar = last_weeks.calendar
            and weeks.week_number < last_weeks.week_number

)

select * from whole_weeks
