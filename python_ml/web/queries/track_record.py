"""What the page of the track record asks."""

from python_ml.web.content import Query

# One row a close: series of the same close are not independent.
SCORES = Query("""
    select
        closed_at,
        max(horizon_bars) as horizon_bars,
        count(*) as n,
        sum(log_loss) as log_loss,
        sum(climatology_log_loss) as climatology_log_loss,
        count(*) filter (where is_hit) as n_hits,
        count(*) filter (where ticker = :symbol) as symbol_n,
        sum(log_loss) filter (where ticker = :symbol) as symbol_log_loss,
        sum(climatology_log_loss) filter (where ticker = :symbol)
            as symbol_climatology_log_loss
    from {forecasting}.forecast_outcomes
    where is_counted and timeframe = :timeframe and horizon = :horizon
    group by closed_at
    order by closed_at
""")

CALIBRATION = Query("""
    with
    classes as (
        select
            outcomes.closed_at,
            outcomes.horizon_bars,
            said.label,
            said.probability,
            case when outcomes.outcome = said.label then 1.0 else 0.0 end
                as came_true
        from {forecasting}.ledger as counted
        inner join {forecasting}.forecast_outcomes as outcomes
            using (forecast_id)
        cross join lateral (
            values
            ('BEARISH', counted.probability_bearish),
            ('NEUTRAL', counted.probability_neutral),
            ('BULLISH', counted.probability_bullish)
        ) as said (label, probability)
        where counted.timeframe = :timeframe and counted.horizon = :horizon
    )
    select
        label,
        cast(floor(least(probability, 0.9999) * 20) as integer) as bin,
        count(*) as n,
        count(distinct closed_at) as n_closes,
        max(horizon_bars) as horizon_bars,
        avg(probability) as mean_probability,
        avg(came_true) as share
    from classes
    group by label, bin
    order by label, bin
""")

COVERAGE = Query("""
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
""")

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

TRUST = Query("""
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
""")
