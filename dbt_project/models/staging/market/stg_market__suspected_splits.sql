with

suspected as (

    select
        symbol_id,
        timeframe,
        session_date,
        opened_at,
        kind,
        jump,
        factor,
        suggested_factor

    from {{ source('market', 'suspected_splits') }}

)

select * from suspected
