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
        run_name,
        is_late,
        bar_number,
        target_bar_number,
        direction,
        probability_bearish,
        probability_neutral,
        probability_bullish,
        climatology_bearish,
        climatology_neutral,
        climatology_bullish,
        reference_close,
        expected_volatility,
        label_threshold,
        lower_50,
        upper_50,
        lower_80,
        upper_80,
        lower_95,
        upper_95,
        closed_at,
        target_at

    from {{ ref('stg_ml__forecasts') }}

),

bars as (

    select
        symbol_id,
        ticker,
        timeframe,
        bar_number,
        session_date,
        closed_at,
        adjusted_close,
        max_recorded_at

    from {{ ref('bars') }}

),

-- An inner join: until the target bar is there, and it is there only once it
-- has closed, a forecast is not settled. Both closes are on today's basis, so
-- a split between them is no move.
joined as (

    select
        forecasts.forecast_id,
        forecasts.symbol_id,
        forecasts.version_id,
        forecasts.timeframe,
        forecasts.horizon,
        forecasts.horizon_bars,
        forecasts.run_kind,
        forecasts.run_name,
        forecasts.is_late,
        forecasts.bar_number,
        forecasts.target_bar_number,
        forecasts.direction,
        forecasts.probability_bearish,
        forecasts.probability_neutral,
        forecasts.probability_bullish,
        forecasts.climatology_bearish,
        forecasts.climatology_neutral,
        forecasts.climatology_bullish,
        forecasts.reference_close,
        forecasts.expected_volatility,
        forecasts.label_threshold,
        forecasts.lower_50,
        forecasts.upper_50,
        forecasts.lower_80,
        forecasts.upper_80,
        forecasts.lower_95,
        forecasts.upper_95,
        forecasts.closed_at,
        forecasts.target_at,
        target_bars.ticker,
        target_bars.session_date as settled_date,
        target_bars.closed_at as settled_at,
        target_bars.max_recorded_at as target_recorded_at,
        {{ forward_log_return(
            'reference_bars.adjusted_close', 'target_bars.adjusted_close'
        ) }} as realized_return

    from forecasts

    inner join bars as reference_bars
        on
            forecasts.symbol_id = reference_bars.symbol_id
            and forecasts.timeframe = reference_bars.timeframe
            and forecasts.bar_number = reference_bars.bar_number

    inner join bars as target_bars
        on
            forecasts.symbol_id = target_bars.symbol_id
            and forecasts.timeframe = target_bars.timeframe
            and forecasts.target_bar_number = target_bars.bar_number

)

select * from joined
