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

delisted as (

    select
        symbol_id,
        delisted_at

    from {{ ref('stg_market__symbols') }}

    where
        delisted_at is not null
        and {{ is_not_after_as_of('delisted_at') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        session_date,
        closed_at

    from {{ ref('bar_grid') }}

    where {{ is_not_after_as_of('closed_at') }}

),

-- The target is the bar that a forecast was about or, where its symbol was
-- delisted before that, its last one. Until it is there, and it is there only
-- once it has closed, a forecast is not settled. Both closes are on today's
-- basis, so a split between them is no move.
--
-- Forecasts are named once and bars where they are joined: what leaves out
-- those that have settled does so before anything is joined to them. The last
-- bar is looked up for forecasts of delisted symbols alone; that no bar follows
-- it is known when the next one of the grid should have closed.
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
        reference_bars.ticker,
        coalesce(targets.session_date, next_places.session_date)
            as settled_date,
        coalesce(targets.closed_at, next_places.closed_at) as settled_at,
        coalesce(targets.max_recorded_at, last_bars.max_recorded_at)
            as target_recorded_at,
        {{ forward_log_return(
            'reference_bars.adjusted_close',
            'coalesce(targets.adjusted_close, last_bars.adjusted_close)',
        ) }} as realized_return

    from forecasts

    inner join {{ ref('bars') }} as reference_bars
        on
            forecasts.symbol_id = reference_bars.symbol_id
            and forecasts.timeframe = reference_bars.timeframe
            and forecasts.bar_number = reference_bars.bar_number

    left join {{ ref('bars') }} as targets
        on
            forecasts.symbol_id = targets.symbol_id
            and forecasts.timeframe = targets.timeframe
            and forecasts.target_bar_number = targets.bar_number

    -- Where a delisted symbol is traded again after all, its bar counts.
    left join delisted
        on
            forecasts.symbol_id = delisted.symbol_id
            and targets.symbol_id is null

    left join
        lateral (
            select
                bars.calendar,
                bars.timeframe,
                bars.bar_number,
                bars.adjusted_close,
                bars.max_recorded_at

            from {{ ref('bars') }} as bars

            where
                bars.symbol_id = delisted.symbol_id
                and bars.timeframe = forecasts.timeframe
                and bars.closed_at <= delisted.delisted_at

            order by bars.bar_number desc

            limit 1
        ) as last_bars
        on forecasts.target_bar_number > last_bars.bar_number

    left join grid as next_places
        on
            last_bars.calendar = next_places.calendar
            and last_bars.timeframe = next_places.timeframe
            and last_bars.bar_number + 1 = next_places.bar_number

    where
        targets.symbol_id is not null
        or next_places.bar_number is not null

)

select * from joined
