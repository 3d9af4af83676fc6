with

thresholds as (

    select
        window_days,
        window_predictions

    from {{ ref('drift_thresholds') }}

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

deployed_series as (

    select distinct
        symbol_id,
        timeframe

    from {{ ref('stg_ml__deployment_spans') }}

),

-- From the end of the key to what two windows take. A week and a day hold the
-- session dates of a week.
bounded as (

    select
        deployed_series.symbol_id,
        deployed_series.timeframe,
        symbols.ticker,
        least(
            min(last_outcomes.settled_at),
            max(last_outcomes.settled_at)
            - (min(thresholds.window_days) + 1) * interval '1 day'
        ) as settled_from

    from deployed_series

    inner join symbols
        on deployed_series.symbol_id = symbols.symbol_id

    cross join thresholds

    cross join
        lateral (
            select outcomes.settled_at

            from {{ ref('forecast_outcomes') }} as outcomes

            where
                outcomes.symbol_id = deployed_series.symbol_id
                and outcomes.timeframe = deployed_series.timeframe
                and outcomes.is_counted

            order by outcomes.settled_at desc

            limit 2 * thresholds.window_predictions
        ) as last_outcomes

    group by
        deployed_series.symbol_id,
        deployed_series.timeframe,
        symbols.ticker

),

recent as (

    select
        found.*,
        bounded.ticker

    from bounded

    cross join lateral (
        select
            outcomes.forecast_id,
            outcomes.symbol_id,
            outcomes.timeframe,
            outcomes.horizon,
            outcomes.horizon_bars,
            outcomes.closed_at,
            outcomes.settled_at,
            outcomes.settled_date,
            outcomes.version_id,
            outcomes.is_hit

        from {{ ref('forecast_outcomes') }} as outcomes

        where
            outcomes.symbol_id = bounded.symbol_id
            and outcomes.timeframe = bounded.timeframe
            and outcomes.settled_at >= bounded.settled_from
            and outcomes.is_counted

        {{ computed_once() }}
    ) as found

)

select * from recent
