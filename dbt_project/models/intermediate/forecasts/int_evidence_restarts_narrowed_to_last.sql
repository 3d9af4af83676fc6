-- Symbol 0 stands for all series of the timeframe, whose tests are pooled.
with

restarts as (

    select
        symbol_id,
        timeframe,
        restarted_at

    from {{ ref('stg_ml__evidence_restarts') }}

),

narrowed as (

    select
        coalesce(symbol_id, 0) as symbol_id,
        timeframe,
        max(restarted_at) as restarted_at

    from restarts

    group by coalesce(symbol_id, 0), timeframe

)

select * from narrowed
