with

spans as (

    select distinct
        symbol_id,
        timeframe

    from {{ ref('stg_ml__deployment_spans') }}

    where superseded_at is null

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

    where
        deactivated_at is null
        and delisted_at is null

),

-- By the end of the key, not by reading all bars.
live as (

    select
        spans.symbol_id,
        symbols.ticker,
        spans.timeframe,
        last_bars.closed_at as last_bar_closed_at

    from spans

    inner join symbols
        on spans.symbol_id = symbols.symbol_id

    cross join
        lateral (
            select bars.closed_at

            from {{ ref('bars') }} as bars

            where
                bars.symbol_id = spans.symbol_id
                and bars.timeframe = spans.timeframe

            order by bars.bar_number desc

            limit 1
        ) as last_bars

)

select * from live
