"""What the page of the track record asks."""

from python_ml.web.content import Query
from python_ml.web.queries.symbols import of_symbol

# One row a close: series of the same close are not independent.
_SCORES = """
    select
        closed_at,
        max(horizon_bars) as horizon_bars,
        count(*) as n,
        sum(log_loss) as log_loss,
        sum(climatology_log_loss) as climatology_log_loss,
        count(*) filter (where is_hit) as n_hits
    from {forecasting}.forecast_outcomes
    where
        is_counted and timeframe = :timeframe and horizon = :horizonOF_SYMBOL
    group by closed_at
    order by closed_at
"""
SCORES = Query(
    _SCORES.replace("OF_SYMBOL", ""),
    is_changed_by_jobs_alone=True,
)
SYMBOL_SCORES = of_symbol(
    _SCORES.replace("OF_SYMBOL", "\n        and IS_CHOSEN")
)

# Summed by close first: how many closes there are needs no sorting then.
_CALIBRATION = """
    with
    counted as (
        select
            outcomes.closed_at, outcomes.horizon_bars, outcomes.outcome,
            forecasts.probability_bearish, forecasts.probability_neutral,
            forecasts.probability_bullish
        from {forecasting}.forecast_outcomes as outcomes
        inner join FORECASTS as forecasts using (forecast_id)
        where
            outcomes.is_counted
            and outcomes.timeframe = :timeframe
            and outcomes.horizon = :horizon
    ),
    closes as (
        select
            said.label,
            cast(floor(least(said.probability, 0.9999) * 20) as integer)
                as bin,
            counted.closed_at,
            max(counted.horizon_bars) as horizon_bars,
            count(*) as n,
            sum(said.probability) as probability,
            count(*) filter (where counted.outcome = said.label)
                as n_came_true
        from counted
        cross join lateral (
            values
            ('BEARISH', counted.probability_bearish),
            ('NEUTRAL', counted.probability_neutral),
            ('BULLISH', counted.probability_bullish)
        ) as said (label, probability)
        group by said.label, bin, counted.closed_at
    )
    select
        label,
        bin,
        cast(sum(n) as bigint) as n,
        count(*) as n_closes,
        max(horizon_bars) as horizon_bars,
        sum(probability) / sum(n) as mean_probability,
        cast(sum(n_came_true) / sum(n) as double precision) as share
    from closes
    group by label, bin
    order by label, bin
"""
CALIBRATION = Query(
    _CALIBRATION.replace("FORECASTS", "{ml}.forecasts"),
    otherwise=Query(_CALIBRATION.replace("FORECASTS", "{forecasting}.ledger")),
    is_changed_by_jobs_alone=True,
)

COVERAGE = Query(
    """
    select
        horizon, horizon_bars, band_level, cut_by, part, n_forecasts,
        n_periods, coverage, nominal, coverage_lower, coverage_upper,
        share_below, share_above, is_beyond_chance
    from {monitoring}.band_coverage
    where
        calendar = :calendar
        and timeframe = :timeframe
        and horizon = :horizon
        and period = 'total'
    order by cut_by, part, band_level
""",
    is_changed_by_jobs_alone=True,
)

LEADERBOARD = Query("""
    select
        contestant, n, n_blocks, accuracy, majority_share, log_loss, skill,
        skill_standard_error, overconfidence, reliability, first_closed_at,
        last_closed_at
    from {monitoring}.leaderboard
    where
        ticker = :symbol and timeframe = :timeframe and horizon = :horizon
    order by skill desc
""")

TRUST = Query(
    """
    select
        trust, n, n_blocks, accuracy, coverage_80, skill,
        skill_standard_error
    from {monitoring}.trust_record
    where
        calendar = :calendar
        and timeframe = :timeframe
        and horizon = :horizon
    order by
        case trust when 'publish' then 0 when 'caution' then 1 else 2 end
""",
    is_changed_by_jobs_alone=True,
)
