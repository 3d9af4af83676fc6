-- Numbers are dense and count from the first session of raw.sessions, which
-- ingestion always fills from one fixed date, so a number never shifts.
with

sessions as (

    select
        calendar,
        session_date,
        opened_at,
        closed_at

    from {{ ref('stg_market__sessions') }}

),

numbered as (

    select
        calendar,
        session_date,
        opened_at,
        closed_at,
        row_number() over (
            partition by calendar order by session_date asc
        ) as session_number,
        dense_rank() over (
            partition by calendar
            order by date_trunc('week', session_date) asc
        ) as week_number

    from sessions

)

select * from numbered
