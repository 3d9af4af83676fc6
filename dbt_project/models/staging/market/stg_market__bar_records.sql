with

records as (

    select
        symbol_id,
        timeframe,
        opened_at,
        batch_id,
        closed_at,
        open,
        high,
        low,
        close,
        volume,
        recorded_at,
        is_backfill,
        ingested_at,
        source

    from {{ source('market', 'bars') }}

    where {{ is_known('recorded_at', 'batch_id', closed_at='closed_at') }}

)

select * from records
