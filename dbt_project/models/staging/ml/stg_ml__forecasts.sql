-- By its bar, not by `issued_at`: a replay is issued later.
-- No steps: only through a plain select does PostgreSQL see the order of the
-- key, by which the newest forecast of a series is found.
select

    ---------- ids
    forecast_id,
    symbol_id,
    version_id,
    job_run_id,

    ---------- series
    timeframe,
    horizon,
    horizon_bars,
    run_kind,
    run_name,
    is_late or {{ has_impossible_time() }} as is_late,
    is_late as is_recorded_late,

    ---------- bars
    bar_number,
    target_bar_number,

    ---------- classes
    direction,
    confidence,
    trust,
    trust_reasons,
    probability_bearish,
    probability_neutral,
    probability_bullish,
    climatology_bearish,
    climatology_neutral,
    climatology_bullish,
    member_probabilities,

    ---------- prices
    reference_close,
    expected_volatility,
    forecast_volatility,
    label_threshold,
    price_target,
    lower_50,
    upper_50,
    lower_80,
    upper_80,
    lower_95,
    upper_95,

    ---------- timestamps
    closed_at,
    target_at,
    issued_at,
    written_at

from {{ source('ml', 'forecasts') }}

where
    {{ is_not_after_as_of('closed_at') }}
    {% if var('backtest', none) is not none -%}
        and run_kind = 'backtest'
        and {{ is_of_the_backtest() }}
    {%- endif %}
