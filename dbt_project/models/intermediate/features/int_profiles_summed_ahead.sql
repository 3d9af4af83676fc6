-- Variance to expect of the bars ahead of an intraday bar, each at its place in
-- the session: whole sessions up to the one that the horizon ends in, less what
-- has passed of this one, less what early closes on the way leave out. Which
-- bars lie ahead is the calendar's knowledge; what to expect of them is that of
-- the bar.
{%- set variances = ['variance', 'candle_variance'] %}

with

profiles as (

    select
        symbol_id,
        calendar,
        timeframe,
        session_number,
        place_in_session,
        variance_to_place,
        previous_variance_to_place,
        session_variance,
        candle_variance_to_place,
        previous_candle_variance_to_place,
        session_candle_variance

    from {{ ref('int_session_profiles') }}

),

bars as (

    select
        bars.symbol_id,
        bars.timeframe,
        bars.bar_number,
        bars.session_number,
        bars.place_in_session,
        profiles.calendar,
        profiles.variance_to_place,
        profiles.previous_variance_to_place,
        profiles.session_variance,
        profiles.candle_variance_to_place,
        profiles.previous_candle_variance_to_place,
        profiles.session_candle_variance

    from {{ ref('bars') }} as bars

    inner join profiles
        on
            bars.symbol_id = profiles.symbol_id
            and bars.timeframe = profiles.timeframe
            and bars.session_number = profiles.session_number
            and bars.place_in_session = profiles.place_in_session

    where profiles.session_variance is not null

),

laid as (

    select
        calendar,
        timeframe,
        bar_number,
        horizon,
        end_place,
        sessions_ahead

    from {{ ref('int_horizons_laid_on_grid') }}

    where end_place is not null

),

early_closes as (

    select
        calendar,
        timeframe,
        session_number,
        max(session_bars) as session_bars

    from {{ ref('bar_grid') }}

    where session_bars < full_session_bars

    group by calendar, timeframe, session_number

),

aimed as (

    select
        bars.*,
        laid.horizon,
        laid.end_place,
        laid.sessions_ahead

    from bars

    inner join laid
        on
            bars.calendar = laid.calendar
            and bars.timeframe = laid.timeframe
            and bars.bar_number = laid.bar_number

),

-- The places whose profile is needed up to: the one that the horizon ends at,
-- and the last one of every session on the way that closes early.
places as (

    select
        aimed.*,
        aimed.end_place as place,
        aimed.sessions_ahead * aimed.session_variance
        - aimed.variance_to_place as variance_remainder,
        aimed.sessions_ahead * aimed.session_candle_variance
        - aimed.candle_variance_to_place as candle_variance_remainder

    from aimed

    union all

    select
        aimed.*,
        early_closes.session_bars as place,
        -aimed.session_variance as variance_remainder,
        -aimed.session_candle_variance as candle_variance_remainder

    from aimed

    inner join early_closes
        on
            aimed.calendar = early_closes.calendar
            and aimed.timeframe = early_closes.timeframe
            and aimed.session_number <= early_closes.session_number
            and aimed.session_number + aimed.sessions_ahead
            > early_closes.session_number

),

looked_up as (

    select
        places.symbol_id,
        places.timeframe,
        places.bar_number,
        places.horizon,
    {% for variance in variances -%}
        places.{{ variance }}_remainder + case
            when places.place <= places.place_in_session
                then profiles.{{ variance }}_to_place
            else
                places.{{ variance }}_to_place
                + profiles.previous_{{ variance }}_to_place
                - places.previous_{{ variance }}_to_place
        end as {{ variance }}
        {{- ',\n        ' if not loop.last }}
    {%- endfor %}

    from places

    inner join profiles
        on
            places.symbol_id = profiles.symbol_id
            and places.timeframe = profiles.timeframe
            and places.session_number = profiles.session_number
            and places.place = profiles.place_in_session

),

summed_up as (

    select
        symbol_id,
        timeframe,
        bar_number,
        horizon,
        -- In decimals, whose sum does not depend on the order of the rows.
    {% for variance in variances -%}
        cast(
            sum(cast({{ variance }} as decimal(38, 28)))
            as double precision
        ) as {{ variance }}_ahead
        {{- ',\n        ' if not loop.last }}
    {%- endfor %}

    from looked_up

    group by symbol_id, timeframe, bar_number, horizon

)

select * from summed_up
