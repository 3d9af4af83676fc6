with

records as (

    select
        symbol_id,
        timeframe,
        opened_at,
        closed_at,
        open,
        high,
        low,
        close,
        volume,
        recorded_at,
        source,
        batch_id

    from {{ source('market', 'bars') }}

),

-- The batch id rises in commit order; a timestamp could tie or run backwards.
dated as (

    select
        *,
        max(batch_id) over (
            partition by symbol_id, timeframe, opened_at
        ) as newest_batch_id

    from records

),

newest_records as (

    select
        symbol_id,
        timeframe,
        opened_at,
        closed_at,
        open,
        high,
        low,
        close,
        volume,
        recorded_at,
        source,
        batch_id

    from dated

    where batch_id = newest_batch_id

)

select * from newest_records
