-- New weights train nothing, and what a backtest trains is not live.
with

training_runs as (

    select
        symbol_id,
        timeframe,
        as_of

    from {{ ref('stg_ml__training_runs') }}

    where
        status = 'succeeded'
        and trigger not in ('weights', 'backtest')

),

narrowed as (

    select
        symbol_id,
        timeframe,
        max(as_of) as last_trained_as_of

    from training_runs

    group by symbol_id, timeframe

)

select * from narrowed
