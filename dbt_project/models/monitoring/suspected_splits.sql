-- What a loaded timeframe shows holds for those rolled up from it as well.
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

    from {{ ref('stg_market__suspected_splits') }}

),

rolled_up as (

    select
        symbol_id,
        timeframe,
        rolled_up_from

    from {{ ref('int_series_rolled_up') }}

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

series as (

    select
        symbol_id,
        timeframe as shown_by,
        timeframe

    from suspected

    union

    select
        symbol_id,
        rolled_up_from as shown_by,
        timeframe

    from rolled_up

),

described as (

    select
        suspected.symbol_id,
        symbols.ticker,
        series.timeframe,
        suspected.session_date,
        suspected.opened_at,
        suspected.kind,
        suspected.jump,
        suspected.factor,
        suspected.suggested_factor,
        'swiftbolt ingest bars ... --adjustments FILE, with the line: '
        || symbols.ticker
        || ','
        || cast(suspected.session_date as varchar)
        || ',split,'
        || cast(suspected.suggested_factor as varchar) as remedy

    from suspected

    inner join series
        on
            suspected.symbol_id = series.symbol_id
            and suspected.timeframe = series.shown_by

    inner join symbols
        on suspected.symbol_id = symbols.symbol_id

)

select * from described
