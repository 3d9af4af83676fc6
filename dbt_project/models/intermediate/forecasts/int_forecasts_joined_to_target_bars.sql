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
        calendar,
        timeframe,
        bar_number,
        session_date,
        closed_at,
        adjusted_close,
        max_recorded_at

    from {{ ref('bars') }}

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

),

last_bar_numbers as (

    select
        bars.symbol_id,
        bars.timeframe,
        max(bars.bar_number) as bar_number

    from bars

    inner join delisted
        on
            bars.symbol_id = delisted.symbol_id
            and bars.closed_at <= delisted.delisted_at

    group by bars.symbol_id, bars.timeframe

),

-- What a delisted symbol was last traded at. That no bar follows is known when
-- the next one of the grid should have closed.
last_bars as (

    select
        bars.symbol_id,
        bars.ticker,
        bars.timeframe,
        bars.bar_number,
        bars.adjusted_close,
        bars.max_recorded_at,
        grid.session_date,
        grid.closed_at

    from last_bar_numbers

    inner join bars
        on
            last_bar_numbers.symbol_id = bars.symbol_id
            and last_bar_numbers.timeframe = bars.timeframe
            and last_bar_numbers.bar_number = bars.bar_number

    inner join grid
        on
            bars.calendar = grid.calendar
            and bars.timeframe = grid.timeframe
            and bars.bar_number + 1 = grid.bar_number

    where {{ is_not_after_as_of('grid.closed_at') }}

),

-- The bar that a forecast was about or, where its symbol was delisted before
-- that, its last one.
targets as (

    select
        forecasts.forecast_id,
        bars.ticker,
        bars.session_date,
        bars.closed_at,
        bars.max_recorded_at,
        bars.adjusted_close

    from forecasts

    inner join bars
        on
            forecasts.symbol_id = bars.symbol_id
            and forecasts.timeframe = bars.timeframe
            and forecasts.target_bar_number = bars.bar_number

    union all

    select
        forecasts.forecast_id,
        last_bars.ticker,
        last_bars.session_date,
        last_bars.closed_at,
        last_bars.max_recorded_at,
        last_bars.adjusted_close

    from forecasts

    inner join last_bars
        on
            forecasts.symbol_id = last_bars.symbol_id
            and forecasts.timeframe = last_bars.timeframe
            and forecasts.target_bar_number > last_bars.bar_number

    -- Where it is traded again after all, its bar says what came.
    left join bars as traded
        on
            forecasts.symbol_id = traded.symbol_id
            and forecasts.timeframe = traded.timeframe
            and forecasts.target_bar_number = traded.bar_number

    where traded.symbol_id is null

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
        targets.ticker,
        targets.session_date as settled_date,
        targets.closed_at as settled_at,
        targets.max_recorded_at as target_recorded_at,
        {{ forward_log_return(
            'reference_bars.adjusted_close', 'targets.adjusted_close'
        ) }} as realized_return

    from forecasts

    inner join bars as reference_bars
        on
            forecasts.symbol_id = reference_bars.symbol_id
            and forecasts.timeframe = reference_bars.timeframe
            and forecasts.bar_number = reference_bars.bar_number

    inner join targets
        on forecasts.forecast_id = targets.forecast_id

)

select * from joined
