with

forecasts as (

    select
        forecast_id,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        closed_at,
        probability_bearish,
        probability_neutral,
        probability_bullish

    from {{ ref('ledger') }}

),

outcomes as (

    select
        forecast_id,
        symbol_id,
        ticker,
        timeframe,
        is_hit,
        log_loss

    from {{ ref('int_outcomes_narrowed_to_one_per_bar') }}

),

-- What a forecast that means what it says expects of itself.
expected as (

    select
        forecasts.symbol_id,
        forecasts.ticker,
        forecasts.timeframe,
        forecasts.horizon,
        cast(
            date_trunc('week', {{ utc_date('forecasts.closed_at') }}) as date
        ) as week_starts_on,
        greatest(
            forecasts.probability_bearish,
            forecasts.probability_neutral,
            forecasts.probability_bullish
        ) as expected_hit,
        {{ entropy_term('forecasts.probability_bearish') }}
        + {{ entropy_term('forecasts.probability_neutral') }}
        + {{ entropy_term('forecasts.probability_bullish') }}
            as expected_log_loss,
        cast(
            case
                when outcomes.is_hit then 1
                when outcomes.forecast_id is not null then 0
            end as double precision
        ) as hit,
        outcomes.log_loss

    from forecasts

    left join outcomes
        on
            forecasts.forecast_id = outcomes.forecast_id
            and forecasts.symbol_id = outcomes.symbol_id
            and forecasts.ticker = outcomes.ticker
            and forecasts.timeframe = outcomes.timeframe

),

aggregated as (

    select
        symbol_id,
        ticker,
        timeframe,
        horizon,
        week_starts_on,
        cast(count(*) as integer) as n_forecasts,
        avg(expected_hit) as expected_accuracy,
        avg(expected_log_loss) as expected_log_loss,
        cast(count(hit) as integer) as n_settled,
        avg(case when hit is not null then expected_hit end)
            as settled_expected_accuracy,
        avg(hit) as accuracy,
        avg(case when hit is not null then expected_log_loss end)
            as settled_expected_log_loss,
        avg(log_loss) as log_loss

    from expected

    group by symbol_id, ticker, timeframe, horizon, week_starts_on

)

select * from aggregated
