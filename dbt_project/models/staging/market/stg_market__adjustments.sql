with

records as (

    select
        symbol_id,
        effective_at,
        kind,
        factor,
        recorded_at,
        batch_id

    from {{ source('market', 'adjustments') }}

    where {{ is_known('recorded_at', 'batch_id') }}

),

-- The batch id rises in commit order; a timestamp could tie or run backwards.
dated as (

    select
        *,
        max(batch_id) over (
            partition by symbol_id, effective_at, kind
        ) as newest_batch_id

    from records

),

newest_records as (

    select
        symbol_id,
        effective_at,
        kind,
        factor,
        recorded_at,
        batch_id

    from dated

    where batch_id = newest_batch_id

)

select * from newest_records
