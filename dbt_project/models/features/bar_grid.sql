-- Intraday bars are counted from each session's open, the last one ending with
-- it. They are spelled out from the first session that a loaded bar needs them
-- in; their numbers count from the first session of all, so they never shift.
{%- set finer_to_coarser = ['m15', 'h1', 'h4'] %}
{%- set coarser_than_all = ['d1', 'w1'] %}

with

sessions as (

    select * from {{ ref('int_sessions_split_into_bars') }}

),

weeks as (

    select
        calendar,
        week_number,
        last_session_number,
        session_date,
        opened_at,
        closed_at,
        n_sessions

    from {{ ref('int_weeks_grouped_from_sessions') }}

),

timeframes as (

    select
        timeframe,
        sort_order

    from {{ ref('timeframes') }}

),

loaded as (

    select
        calendar,
        sort_order,
        first_opened_at

    from {{ ref('int_series_loaded') }}

),

in_use as (

    select
        loaded.calendar,
        timeframes.timeframe,
        min(loaded.first_opened_at) as first_opened_at

    from loaded

    inner join timeframes
        on loaded.sort_order <= timeframes.sort_order

    group by loaded.calendar, timeframes.timeframe

),

digits as (

    {% for digit in range(10) %}
        select {{ digit }} as digit

        {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- A day has 96 quarters of an hour.
places as (

    select tens.digit * 10 + ones.digit + 1 as place

    from digits as tens

    cross join digits as ones

),

{% for timeframe in finer_to_coarser %}
    {%- set coarser = finer_to_coarser[loop.index:] %}
    {%- set higher = (coarser + coarser_than_all)[0] %}
    placed_{{ timeframe }} as (

        select
            sessions.calendar,
            sessions.session_number,
            sessions.week_number,
            sessions.session_date,
            sessions.closed_at as session_closed_at,
            places.place as place_in_session,
            sessions.{{ timeframe }}_bars as session_bars,
            sessions.full_{{ timeframe }}_bars as full_session_bars,
            sessions.{{ timeframe }}_bars_before + places.place as bar_number,
            {{ plus_minutes(
                'sessions.opened_at',
                '(places.place - 1) * sessions.' ~ timeframe ~ '_minutes'
            ) }} as opened_at,
            least(
                {{ plus_minutes(
                    'sessions.opened_at',
                    'places.place * sessions.' ~ timeframe ~ '_minutes'
                ) }},
                sessions.closed_at
            ) as closed_at,
            {% for name in finer_to_coarser -%}
                {% if name in coarser -%}
                    sessions.{{ name }}_bars_before + 1 + cast(
                        floor(
                            (places.place - 1)
                            * sessions.{{ timeframe }}_minutes
                            / cast(
                                sessions.{{ name }}_minutes as double precision
                            )
                        ) as integer
                    )
                {%- else -%}
                    cast(null as integer)
                {%- endif %} as {{ name }}_bar_number,
            {% endfor -%}
            -- Where the bar of the next higher timeframe ends.
            {% if higher in finer_to_coarser -%}
                least(
                    {{ plus_minutes(
                        'sessions.opened_at',
                        '(1 + floor((places.place - 1) * sessions.' ~ timeframe
                        ~ '_minutes / cast(sessions.' ~ higher
                        ~ '_minutes as double precision))) * sessions.'
                        ~ higher ~ '_minutes'
                    ) }},
                    sessions.closed_at
                )
            {%- else -%}
                sessions.closed_at
            {%- endif %} as higher_closed_at

        from sessions

        inner join in_use
            on
                sessions.calendar = in_use.calendar
                and sessions.closed_at > in_use.first_opened_at

        inner join places
            on sessions.{{ timeframe }}_bars >= places.place

        where in_use.timeframe = '{{ timeframe }}'

    ),

{% endfor %}

-- The higher bar counts as known from its close on: until then the bars in it
-- look up to the one before.
intraday as (

    {% for timeframe in finer_to_coarser %}
        {%- set higher = (finer_to_coarser + coarser_than_all)[loop.index] %}
        {%- set higher_number = 'placed.session_number' if higher == 'd1'
            else 'placed.' ~ higher ~ '_bar_number' %}
        select
            placed.calendar,
            '{{ timeframe }}' as timeframe,
            placed.bar_number,
            placed.session_date,
            placed.session_number,
            1 as n_sessions,
            placed.place_in_session,
            placed.session_bars,
            placed.full_session_bars,
            placed.opened_at,
            placed.closed_at,
            placed.h1_bar_number,
            placed.h4_bar_number,
            placed.session_number as d1_bar_number,
            weeks.week_number as w1_bar_number,
            '{{ higher }}' as higher_timeframe,
            nullif(
                case
                    when placed.closed_at = placed.higher_closed_at
                        then {{ higher_number }}
                    else {{ higher_number }} - 1
                end,
                0
            ) as higher_bar_number

        from placed_{{ timeframe }} as placed

        left join weeks
            on
                placed.calendar = weeks.calendar
                and placed.week_number = weeks.week_number

        {{ 'union all' if not loop.last }}
    {% endfor %}

),

daily as (

    select
        sessions.calendar,
        'd1' as timeframe,
        sessions.session_number as bar_number,
        sessions.session_date,
        sessions.session_number,
        1 as n_sessions,
        1 as place_in_session,
        1 as session_bars,
        1 as full_session_bars,
        sessions.opened_at,
        sessions.closed_at,
        cast(null as integer) as h1_bar_number,
        cast(null as integer) as h4_bar_number,
        cast(null as integer) as d1_bar_number,
        weeks.week_number as w1_bar_number,
        'w1' as higher_timeframe,
        case
            when sessions.session_number = weeks.last_session_number
                then sessions.week_number
            when sessions.week_number > 1 then sessions.week_number - 1
        end as higher_bar_number

    from sessions

    left join weeks
        on
            sessions.calendar = weeks.calendar
            and sessions.week_number = weeks.week_number

),

weekly as (

    select
        calendar,
        'w1' as timeframe,
        week_number as bar_number,
        session_date,
        last_session_number as session_number,
        n_sessions,
        1 as place_in_session,
        1 as session_bars,
        1 as full_session_bars,
        opened_at,
        closed_at,
        cast(null as integer) as h1_bar_number,
        cast(null as integer) as h4_bar_number,
        cast(null as integer) as d1_bar_number,
        cast(null as integer) as w1_bar_number,
        cast(null as text) as higher_timeframe,
        cast(null as integer) as higher_bar_number

    from weeks

),

combined as (

    select * from intraday

    union all

    select * from daily

    union all

    select * from weekly

),

typed as (

    select
        calendar,
        cast(timeframe as text) as timeframe,
        cast(bar_number as integer) as bar_number,
        session_date,
        cast(session_number as integer) as session_number,
        cast(n_sessions as integer) as n_sessions,
        cast(place_in_session as integer) as place_in_session,
        cast(session_bars as integer) as session_bars,
        cast(full_session_bars as integer) as full_session_bars,
        opened_at,
        closed_at,
        cast(h1_bar_number as integer) as h1_bar_number,
        cast(h4_bar_number as integer) as h4_bar_number,
        cast(d1_bar_number as integer) as d1_bar_number,
        cast(w1_bar_number as integer) as w1_bar_number,
        cast(higher_timeframe as text) as higher_timeframe,
        cast(higher_bar_number as integer) as higher_bar_number

    from combined

)

select * from typed
