with

forecasts as (

    select
        forecast_id,
        symbol_id,
        version_id,
        timeframe,
        horizon,
        horizon_bars,
        run_kind,
        bar_number,
        probability_bearish,
        probability_neutral,
        probability_bullish,
        climatology_bearish,
        climatology_neutral,
        climatology_bullish,
        member_probabilities,
        closed_at,
        target_at

    from {{ ref('stg_ml__forecasts') }}

    -- A late row could have been issued with the answer at hand; a backtest
    -- was.
    where
        run_kind in {{ counted_kinds() }}
        and not is_late

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

named as (

    select
        forecasts.*,
        symbols.ticker

    from forecasts

    inner join symbols
        on forecasts.symbol_id = symbols.symbol_id

),

ranked as (

    select
        *,
        row_number() over (
            partition by symbol_id, ticker, timeframe, horizon, closed_at
            order by {{ live_before_replay() }}
        ) as preference

    from named

),

one_per_bar as (

    select
        forecast_id,
        symbol_id,
        ticker,
        version_id,
        timeframe,
        horizon,
        horizon_bars,
        run_kind,
        bar_number,
        probability_bearish,
        probability_neutral,
        probability_bullish,
        climatology_bearish,
        climatology_neutral,
        climatology_bullish,
        member_probabilities,
        closed_at,
        target_at

    from ranked

    where preference = 1

)

select * from one_per_bar
