-- Every bar of the grid with each horizon, the bar on which that ends and the
-- rule for its label, from the first bar on that any series is due from. Where
-- a horizon ends is the calendar's knowledge. What series have in common is
-- joined here, once for all of them.
with

due as (

    select
        calendar,
        timeframe,
        min(from_label_bar_number) as from_bar_number

    from {{ ref('int_series_due') }}

    group by calendar, timeframe

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        session_number,
        place_in_session,
        closed_at

    from {{ ref('bar_grid') }}

),

horizons as (

    select
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        horizon_place

    from {{ ref('int_horizons_completed_with_defaults') }}

),

forecast_scales as (

    select
        timeframe,
        horizon_place,
        {{ scale_weights() | join(',\n        ') }}

    from {{ ref('forecast_scales') }}

),

label_rules as (

    select
        timeframe,
        rule,
        volatility_multiple,
        fixed_return

    from {{ ref('label_rules') }}

),

laid as (

    select
        grid.calendar,
        grid.timeframe,
        grid.bar_number,
        horizons.horizon,
        horizons.horizon_bars,
        label_rules.rule,
        label_rules.volatility_multiple,
        label_rules.fixed_return,
        {% for weight in scale_weights() -%}
            forecast_scales.{{ weight }},
        {% endfor -%}
        {{ forward_bar_number(
            'grid.bar_number', 'horizons.horizon_bars'
        ) }} as label_end_bar_number,
        ends.closed_at as label_end_at,
        ends.place_in_session as end_place,
        ends.session_number - grid.session_number as sessions_ahead

    from grid

    inner join due
        on
            grid.calendar = due.calendar
            and grid.timeframe = due.timeframe
            and grid.bar_number >= due.from_bar_number

    inner join horizons
        on
            grid.calendar = horizons.calendar
            and grid.timeframe = horizons.timeframe

    inner join label_rules
        on grid.timeframe = label_rules.timeframe

    inner join forecast_scales
        on
            grid.timeframe = forecast_scales.timeframe
            and horizons.horizon_place = forecast_scales.horizon_place

    left join grid as ends
        on
            grid.calendar = ends.calendar
            and grid.timeframe = ends.timeframe
            and {{ forward_bar_number(
                'grid.bar_number', 'horizons.horizon_bars'
            ) }} = ends.bar_number

)

select * from laid
