with

symbols as (

    select
        symbol_id,
        ticker,
        calendar,
        currency,
        listed_from,
        delisted_at,
        deactivated_at

    from {{ source('market', 'symbols') }}

)

select * from symbols
