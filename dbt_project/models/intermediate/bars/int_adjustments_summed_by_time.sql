with

adjustments as (

    select
        symbol_id,
        effective_at,
        kind,
        factor,
        recorded_at,
        batch_id

    from {{ ref('stg_market__adjustments') }}

),

per_event as (

    select
        symbol_id,
        effective_at,
        sum(ln(factor)) as log_price_factor,
        sum(case when kind = 'split' then ln(factor) else 0 end)
            as log_split_factor,
        max(recorded_at) as recorded_at,
        max(batch_id) as batch_id

    from adjustments

    group by symbol_id, effective_at

)

select * from per_event
