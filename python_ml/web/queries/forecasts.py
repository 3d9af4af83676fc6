"""What the page of forecasts asks about one symbol."""

from python_ml.web.content import Query
from python_ml.web.queries.symbols import of_symbol

N_BARS = 120

BARS = of_symbol(f"""
    select
        bar_number, session_date, closed_at, adjusted_open as open,
        adjusted_high as high, adjusted_low as low, adjusted_close as close,
        adjusted_close / nullif(close, 0) as basis
    from {{features}}.bars
    where
        IS_CHOSEN
        and timeframe = :timeframe
    order by bar_number desc
    limit {N_BARS}
""")

# Outcomes without bands, which stand in the ledger alone.
ANALYSTS_ISSUED = Query(f"""
    select
        counted.closed_at, counted.target_at, counted.bar_number,
        counted.bar_number + counted.horizon_bars as target_bar_number,
        bars.close as reference_close,
        cast(null as double precision) as price_target,
        cast(null as double precision) as lower_50,
        cast(null as double precision) as upper_50,
        cast(null as double precision) as lower_80,
        cast(null as double precision) as upper_80,
        cast(null as double precision) as lower_95,
        cast(null as double precision) as upper_95,
        outcomes.direction, cast(null as text) as trust, outcomes.outcome,
        outcomes.is_hit, outcomes.realized_return, outcomes.is_inside_50,
        outcomes.is_inside_80, outcomes.is_inside_95,
        bars.adjusted_close / nullif(bars.close, 0) as basis
    from {{forecasting}}.ledger as counted
    inner join {{features}}.bars as bars
        on
            bars.symbol_id = counted.symbol_id
            and bars.timeframe = counted.timeframe
            and bars.bar_number = counted.bar_number
    left join {{forecasting}}.forecast_outcomes as outcomes
        using (forecast_id)
    where
        counted.ticker = :symbol
        and counted.timeframe = :timeframe
        and counted.horizon = :horizon
    order by counted.closed_at desc
    limit {N_BARS}
""")

# Bands as issued, on the basis of today's prices.
ISSUED = Query(
    f"""
    select
        forecasts.closed_at, forecasts.target_at, forecasts.bar_number,
        forecasts.target_bar_number, forecasts.reference_close,
        forecasts.price_target, forecasts.lower_50, forecasts.upper_50,
        forecasts.lower_80, forecasts.upper_80, forecasts.lower_95,
        forecasts.upper_95, forecasts.direction, forecasts.trust,
        outcomes.outcome, outcomes.is_hit, outcomes.realized_return,
        outcomes.is_inside_50, outcomes.is_inside_80, outcomes.is_inside_95,
        bars.adjusted_close / nullif(bars.close, 0) as basis
    from {{forecasting}}.ledger as counted
    inner join {{ml}}.forecasts as forecasts using (forecast_id)
    inner join {{features}}.bars as bars
        on
            bars.symbol_id = forecasts.symbol_id
            and bars.timeframe = forecasts.timeframe
            and bars.bar_number = forecasts.bar_number
    left join {{forecasting}}.forecast_outcomes as outcomes
        using (forecast_id)
    where
        counted.ticker = :symbol
        and counted.timeframe = :timeframe
        and counted.horizon = :horizon
    order by forecasts.closed_at desc
    limit {N_BARS}
""",
    otherwise=ANALYSTS_ISSUED,
)

ANALYSTS_LATEST = Query("""
    select
        latest.timeframe, latest.horizon, latest.horizon_bars,
        latest.closed_at, latest.target_at, latest.is_past_target,
        latest.direction, latest.confidence, latest.probability_bearish,
        latest.probability_neutral, latest.probability_bullish,
        counted.climatology_bearish, counted.climatology_neutral,
        counted.climatology_bullish, latest.currency,
        latest.reference_close, latest.price_target, latest.lower_50,
        latest.upper_50, latest.lower_80, latest.upper_80, latest.lower_95,
        latest.upper_95, latest.trust, latest.trust_reasons,
        latest.version_id, latest.run_kind, latest.is_late,
        bars.bar_number,
        bars.bar_number + latest.horizon_bars as target_bar_number
    from {forecasting}.latest_forecasts as latest
    inner join {features}.timeframes as timeframes
        on timeframes.timeframe = latest.timeframe
    inner join {features}.bars as bars
        on
            bars.symbol_id = latest.symbol_id
            and bars.timeframe = latest.timeframe
            and bars.closed_at = latest.closed_at
    left join {forecasting}.ledger as counted
        on counted.forecast_id = latest.forecast_id
    where latest.ticker = :symbol
    order by timeframes.sort_order desc, latest.horizon_bars
""")

LATEST = Query(
    """
    select
        latest.timeframe, latest.horizon, latest.horizon_bars,
        latest.closed_at, latest.target_at, latest.is_past_target,
        latest.direction, latest.confidence, latest.probability_bearish,
        latest.probability_neutral, latest.probability_bullish,
        forecasts.climatology_bearish, forecasts.climatology_neutral,
        forecasts.climatology_bullish, latest.currency,
        latest.reference_close, latest.price_target, latest.lower_50,
        latest.upper_50, latest.lower_80, latest.upper_80, latest.lower_95,
        latest.upper_95, latest.trust, latest.trust_reasons,
        latest.version_id, latest.run_kind, latest.is_late,
        forecasts.bar_number, forecasts.target_bar_number
    from {forecasting}.latest_forecasts as latest
    inner join {ml}.forecasts as forecasts using (forecast_id)
    inner join {features}.timeframes as timeframes
        on timeframes.timeframe = latest.timeframe
    where latest.ticker = :symbol
    order by timeframes.sort_order desc, latest.horizon_bars
""",
    otherwise=ANALYSTS_LATEST,
)

CASCADE = Query("""
    select
        place, timeframe, horizon, is_base_horizon, target_at, direction,
        confidence, longer_timeframe, target_gap_minutes, class_agreement,
        target_agreement, handoff, handoff_status
    from {forecasting}.forecast_cascade
    where ticker = :symbol
    order by place, horizon_bars
""")

CONSENSUS = Query("""
    select
        horizon, target_at, direction, confidence, agreement,
        probability_bearish, probability_neutral, probability_bullish,
        price_target, lower_80, upper_80, mean_handoff, is_single_timeframe,
        timeframes, timeframes_left_out
    from {forecasting}.consensus_forecasts
    where ticker = :symbol
    order by target_at
""")

MEMBERS = Query("""
    select
        member, weight, probability_bearish, probability_neutral,
        probability_bullish, contribution, closed_at
    from {monitoring}.member_contributions
    where
        ticker = :symbol
        and timeframe = :timeframe
        and horizon = :horizon
        and forecast_id = (
            select forecast_id
            from {forecasting}.latest_forecasts
            where
                ticker = :symbol
                and timeframe = :timeframe
                and horizon = :horizon
        )
    order by weight desc
""")
