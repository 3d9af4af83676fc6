with

sessions as (

    select
        calendar,
        session_date,
        opened_at,
        closed_at

    from {{ source('market', 'sessions') }}

)

select * from sessions
