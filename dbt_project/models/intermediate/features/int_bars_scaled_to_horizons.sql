-- Every bar with each of its horizons and what is known of that when the bar
-- closes: the grid bar on which it ends, the volatility to expect up to it and
-- the one to forecast, which reads more of the last bars than their closes.
with

due as (

    select
        series_number,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        from_label_bar_number

    from {{ ref('int_series_due') }}

),

volatilities as (

    select
        series_number,
        bar_number,
        closed_at,
        adjusted_close,
        full_session_bars,
        place_variance,
        candle_variance,
        {{ scale_terms() | join(',\n        ') }},
        batch_id

    from {{ ref('int_bars_averaged_to_volatility') }}

),

measured as (

    select
        due.symbol_id,
        due.ticker,
        due.calendar,
        due.timeframe,
        volatilities.*

    from volatilities

    inner join due
        on
            volatilities.series_number = due.series_number
            and volatilities.bar_number >= due.from_label_bar_number

),

horizons as (

    select
        calendar,
        timeframe,
        bar_number,
        horizon,
        horizon_bars,
        label_end_bar_number as target_bar_number,
        label_end_at as target_at,
        rule,
        volatility_multiple,
        fixed_return,
        {{ scale_weights() | join(',\n        ') }}

    from {{ ref('int_horizons_laid_on_grid') }}

),

profiles as (

    select
        symbol_id,
        timeframe,
        bar_number,
        horizon,
        variance_ahead,
        candle_variance_ahead

    from {{ ref('int_profiles_summed_ahead') }}

),

aimed as (

    select
        measured.series_number,
        measured.symbol_id,
        measured.ticker,
        measured.calendar,
        measured.timeframe,
        horizons.horizon,
        horizons.horizon_bars,
        measured.bar_number,
        measured.closed_at,
        measured.adjusted_close,
        horizons.target_bar_number,
        horizons.target_at,
        horizons.rule,
        horizons.volatility_multiple,
        horizons.fixed_return,
        {% for weight in scale_weights() -%}
            horizons.{{ weight }},
        {% endfor -%}
        measured.{{ scale_terms() | join(',\n        measured.') }},
        case
            when measured.full_session_bars > 1 then profiles.variance_ahead
            else measured.place_variance * horizons.horizon_bars
        end as variance_ahead,
        case
            when measured.full_session_bars > 1
                then profiles.candle_variance_ahead
            else measured.candle_variance * horizons.horizon_bars
        end as candle_variance_ahead,
        measured.batch_id

    from measured

    inner join horizons
        on
            measured.calendar = horizons.calendar
            and measured.timeframe = horizons.timeframe
            and measured.bar_number = horizons.bar_number

    left join profiles
        on
            measured.symbol_id = profiles.symbol_id
            and measured.timeframe = profiles.timeframe
            and measured.bar_number = profiles.bar_number
            and horizons.horizon = profiles.horizon

),

scaled as (

    select
        *,
        {{ volatility_of(
            'variance_ahead', 'horizon_bars'
        ) }} as expected_volatility

    from aimed

    {{ computed_once() }}

),

bounded as (

    select
        series_number,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        bar_number,
        closed_at,
        adjusted_close,
        target_bar_number,
        target_at,
        expected_volatility,
        {{ forecast_volatility_of(
            'candle_variance_ahead', 'horizon_bars'
        ) }} as forecast_volatility,
        case
            when rule = 'fixed_return' then fixed_return
            else volatility_multiple * expected_volatility
        end as label_threshold,
        batch_id

    from scaled

)

select * from bounded
