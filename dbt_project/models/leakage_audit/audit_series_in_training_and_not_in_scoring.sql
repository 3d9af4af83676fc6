-- What is trained must be scored from the same rows: a series whose last
-- training row is no scoring row would be forecast from older ones or not at
-- all.
with

training_examples as (

    select
        symbol_id,
        ticker,
        timeframe,
        horizon,
        closed_at

    from {{ ref('training_examples') }}

    where split_part in ('fit', 'validation')

),

scoring_examples as (

    select
        symbol_id,
        timeframe,
        horizon,
        closed_at

    from {{ ref('scoring_examples') }}

),

trained as (

    select
        symbol_id,
        ticker,
        timeframe,
        horizon,
        max(closed_at) as closed_at

    from training_examples

    group by symbol_id, ticker, timeframe, horizon

),

scored as (

    select
        symbol_id,
        timeframe,
        horizon,
        max(closed_at) as last_scored_closed_at

    from scoring_examples

    group by symbol_id, timeframe, horizon

),

unscored as (

    select
        trained.symbol_id,
        trained.ticker,
        trained.timeframe,
        trained.horizon,
        trained.closed_at,
        scored.last_scored_closed_at

    from trained

    left join scored
        on
            trained.symbol_id = scored.symbol_id
            and trained.timeframe = scored.timeframe
            and trained.horizon = scored.horizon

    where coalesce(scored.last_scored_closed_at < trained.closed_at, true)

),

unaccepted as (

    {{ without_exceptions(
        'audit_series_in_training_and_not_in_scoring', 'unscored'
    ) }}

)

select * from unaccepted
