{%- set levels = [50, 80, 95] -%}

with

outcomes as (

    select
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        closed_at,
        {% for level in levels -%}
            is_inside_{{ level }},
            is_below_{{ level }},
            interval_score_{{ level }},
        {% endfor -%}
        expected_volatility

    from {{ ref('int_outcomes_narrowed_to_one_per_bar') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        session_number,
        place_in_session,
        full_session_bars,
        closed_at

    from {{ ref('bar_grid') }}

),

-- What all series say of one time is one observation of the market, so
-- everything behind this works on times.
summed as (

    select
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        closed_at,
        count(*) as n_forecasts,
        {% for level in levels -%}
            count(case when is_inside_{{ level }} then 1 end)
                as n_inside_{{ level }},
            count(is_below_{{ level }}) as n_sided_{{ level }},
            count(case when is_below_{{ level }} then 1 end)
                as n_below_{{ level }},
            count(
                case
                    when not is_below_{{ level }} and not is_inside_{{ level }}
                        then 1
                end
            ) as n_above_{{ level }},
            sum(interval_score_{{ level }}) as interval_score_{{ level }},
        {% endfor -%}
        avg(expected_volatility) as mean_expected_volatility

    from outcomes

    group by calendar, timeframe, horizon, horizon_bars, closed_at

),

-- The grid is large and finds each time by its key.
placed as (

    select
        summed.*,
        places.session_number,
        places.place_in_session,
        places.full_session_bars,
        {{ market_block(
            'places.bar_number',
            'summed.horizon_bars',
            'places.full_session_bars',
        ) }} as block_number

    from summed

    cross join lateral (
        select
            grid.bar_number,
            grid.session_number,
            grid.place_in_session,
            grid.full_session_bars

        from grid

        where
            grid.calendar = summed.calendar
            and grid.timeframe = summed.timeframe
            and grid.closed_at = summed.closed_at

        {{ computed_once() }}
    ) as places

)

select * from placed
