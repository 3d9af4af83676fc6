-- Every bar with each of its horizons, the grid bar on which that ends and the
-- bar found there, if any. The one place where features' bars look ahead.
--
-- The bars stand twice: shared, they would be a heap without an index, and the
-- planner, which takes all labels for a handful, would search it for each.
with

targets as (

    select
        bars.symbol_id,
        bars.timeframe,
        bars.bar_number,
        bars.adjusted_close,
        bars.batch_id

    from {{ ref('bars') }} as bars

    {% if built_relation('labels') -%}
        -- A few of each series, where not all are wanted.
        inner join {{ ref('int_series_due') }} as due
            on
                bars.symbol_id = due.symbol_id
                and bars.timeframe = due.timeframe
                and bars.bar_number > due.from_label_bar_number
    {%- endif %}

),

due as (

    select
        series_number,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        last_bar_number,
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
        batch_id

    from {{ ref('int_bars_averaged_to_volatility') }}

),

-- Where labels are due, with the scale that their thresholds are set by.
measured as (

    select
        due.symbol_id,
        due.ticker,
        due.calendar,
        due.timeframe,
        due.last_bar_number,
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
        label_end_bar_number,
        label_end_at,
        rule,
        volatility_multiple,
        fixed_return

    from {{ ref('int_horizons_laid_on_grid') }}

),

profiles as (

    select
        symbol_id,
        timeframe,
        bar_number,
        horizon,
        variance_ahead

    from {{ ref('int_profiles_summed_ahead') }}

),

aimed as (

    select
        measured.*,
        horizons.horizon,
        horizons.horizon_bars,
        horizons.label_end_bar_number,
        horizons.label_end_at,
        horizons.rule,
        horizons.volatility_multiple,
        horizons.fixed_return

    from measured

    inner join horizons
        on
            measured.calendar = horizons.calendar
            and measured.timeframe = horizons.timeframe
            and measured.bar_number = horizons.bar_number

),

matched as (

    select
        aimed.symbol_id,
        aimed.ticker,
        aimed.calendar,
        aimed.timeframe,
        aimed.horizon,
        aimed.horizon_bars,
        aimed.bar_number,
        aimed.closed_at,
        aimed.label_end_bar_number,
        aimed.label_end_at,
        aimed.rule,
        aimed.volatility_multiple,
        aimed.fixed_return,
        case
            when aimed.full_session_bars > 1 then profiles.variance_ahead
            else aimed.place_variance * aimed.horizon_bars
        end as variance_ahead,
        {{ forward_log_return(
            'aimed.adjusted_close', 'targets.adjusted_close'
        ) }} as label_return,
        aimed.label_end_bar_number <= aimed.last_bar_number as is_target_due,
        -- A label is as new as the newer of the bars that it lies between.
        greatest(
            aimed.batch_id, coalesce(targets.batch_id, aimed.batch_id)
        ) as batch_id

    from aimed

    left join profiles
        on
            aimed.symbol_id = profiles.symbol_id
            and aimed.timeframe = profiles.timeframe
            and aimed.bar_number = profiles.bar_number
            and aimed.horizon = profiles.horizon

    left join targets
        on
            aimed.symbol_id = targets.symbol_id
            and aimed.timeframe = targets.timeframe
            and aimed.label_end_bar_number = targets.bar_number

)

select * from matched
