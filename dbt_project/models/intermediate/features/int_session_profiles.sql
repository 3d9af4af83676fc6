-- What to expect of each place in the session, from the moves and candles of
-- intraday bars at that place in the last sessions. Every session has all
-- places of a full one: where an early close or a hole leaves none, the last
-- known is carried.
--
-- Sums run inside a session, so each is made alike alone and among all.
{{ config(sql_header=with_hash_joins()) }}
{%- set window_bars = var('volatility_window_bars') | int(20) -%}
{%- set longest_sessions = var('longest_profile_sessions') | int(40) -%}
{%- set places_ahead = var('profile_places_ahead') | int(4) -%}
{%- set recent_bars = 5 -%}
{%- set long_sessions = 2 * window_bars -%}
{%- set surprise_sessions = 5 -%}
{%- set reached_sessions = (
    ([longest_sessions, long_sessions] | max) + surprise_sessions
) -%}
{%- set averages = [
    'mean_squared_move', 'recent_mean_squared_move', 'mean_squared_range',
    'mean_candle_variance'
] -%}
{%- set variances = [
    'place_variance', 'recent_variance', 'range_variance',
    'place_candle_variance'
] -%}
{%- set totals = [
    'variance', 'candle_variance', 'surprises', 'n_surprises', 'candles',
    'n_candles'
] %}

with

due as (

    select
        symbol_id,
        calendar,
        timeframe,
        from_block_number * {{ var('block_bars') }}
        - {{ var('longest_lookback_bars') }} as from_bar_number

    from {{ ref('int_series_due') }}

),

timeframes as (

    select
        timeframe,
        recent_candles

    from {{ ref('timeframes') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        session_number,
        place_in_session,
        session_bars,
        full_session_bars

    from {{ ref('bar_grid') }}

    where full_session_bars > 1

),

grid_starts as (

    select
        calendar,
        timeframe,
        min(bar_number) as bar_number

    from grid

    group by calendar, timeframe

),

-- More than the profile looks back: a session whose first bar lacks its move,
-- one that the session before the first is compared with, and those whose bars
-- are compared with profiles of their own.
series as (

    select
        due.symbol_id,
        due.calendar,
        due.timeframe,
        grid.full_session_bars,
        grid.session_number as from_session_number,
        grid.session_number
        - {{ reached_sessions }} - 2 as from_bars_session_number,
        timeframes.recent_candles

    from due

    inner join timeframes
        on due.timeframe = timeframes.timeframe

    inner join grid_starts
        on
            due.calendar = grid_starts.calendar
            and due.timeframe = grid_starts.timeframe

    inner join grid
        on
            grid_starts.calendar = grid.calendar
            and grid_starts.timeframe = grid.timeframe
            and greatest(due.from_bar_number, grid_starts.bar_number)
            = grid.bar_number

),

bars as (

    select
        bars.symbol_id,
        bars.timeframe,
        bars.bar_number,
        bars.session_number,
        bars.place_in_session,
        bars.adjusted_open,
        bars.adjusted_high,
        bars.adjusted_low,
        bars.adjusted_close,
        bars.max_recorded_at

    from {{ ref('bars') }} as bars

    inner join series
        on
            bars.symbol_id = series.symbol_id
            and bars.timeframe = series.timeframe
            and bars.session_number >= series.from_bars_session_number

),

with_previous as (

    select
        *,
        lag(bar_number) over series_order as previous_bar_number,
        lag(adjusted_close) over series_order as previous_close

    from bars

    window series_order as (
        partition by symbol_id, timeframe order by bar_number asc
    )

),

moves as (

    select
        symbol_id,
        timeframe,
        session_number,
        place_in_session,
        max_recorded_at,
        power(ln(adjusted_high / adjusted_low), 2) as squared_range,
        case
            when previous_bar_number = bar_number - 1
                then power(ln(adjusted_close / previous_close), 2)
        end as squared_move,
        case
            when previous_bar_number = bar_number - 1
                then {{ candle_variance(
                    'ln(adjusted_open / previous_close)',
                    'ln(adjusted_high / adjusted_low)',
                    'ln(adjusted_close / adjusted_open)'
                ) }}
        end as candle_variance

    from with_previous

),

-- Bars without a move, those behind a hole, stand in windows of their own.
measured as (

    select
        symbol_id,
        timeframe,
        session_number,
        place_in_session,
        max_recorded_at,
        candle_variance as candle,
        avg(squared_move) over moves_at_place as mean_squared_move,
        avg(squared_range) over moves_at_place as mean_squared_range,
        avg(candle_variance) over moves_at_place as mean_candle_variance,
        avg(squared_move) over (
            partition by
                symbol_id,
                timeframe,
                place_in_session,
                squared_move is not null
            order by session_number asc
            rows between {{ recent_bars - 1 }} preceding and current row
        ) as recent_mean_squared_move,
        case
            when squared_move is not null
                then lag(session_number, {{ window_bars - 1 }})
                    over moves_at_place
        end as first_session_number

    from moves

    window moves_at_place as (
        partition by
            symbol_id, timeframe, place_in_session, squared_move is not null
        order by session_number asc
        rows between {{ window_bars - 1 }} preceding and current row
    )

),

-- Sessions up to the series' last bar, and all places of each.
last_sessions as (

    select
        symbol_id,
        timeframe,
        min(session_number) as first_session_number,
        max(session_number) as last_session_number

    from bars

    group by symbol_id, timeframe

),

sessions as (

    select
        calendar,
        timeframe,
        session_number,
        min(bar_number) as first_bar_number,
        max(session_bars) as session_bars

    from grid

    group by calendar, timeframe, session_number

),

places as (

    select distinct
        calendar,
        timeframe,
        place_in_session

    from grid

),

slots as (

    select
        series.symbol_id,
        series.calendar,
        series.timeframe,
        series.full_session_bars,
        series.from_session_number,
        series.recent_candles,
        sessions.session_number,
        places.place_in_session,
        case
            when places.place_in_session <= sessions.session_bars
                then sessions.first_bar_number + places.place_in_session - 1
        end as bar_number

    from series

    inner join last_sessions
        on
            series.symbol_id = last_sessions.symbol_id
            and series.timeframe = last_sessions.timeframe

    inner join sessions
        on
            series.calendar = sessions.calendar
            and series.timeframe = sessions.timeframe
            and last_sessions.first_session_number <= sessions.session_number
            and last_sessions.last_session_number >= sessions.session_number

    inner join places
        on
            series.calendar = places.calendar
            and series.timeframe = places.timeframe

),

filled as (

    select
        slots.*,
        measured.max_recorded_at,
        measured.candle,
        {% for average in averages -%}
            measured.{{ average }},
        {% endfor -%}
        measured.first_session_number,
        count(measured.first_session_number) over (
            partition by
                slots.symbol_id, slots.timeframe, slots.place_in_session
            order by slots.session_number asc
            rows between unbounded preceding and current row
        ) as n_measured

    from slots

    left join measured
        on
            slots.symbol_id = measured.symbol_id
            and slots.timeframe = measured.timeframe
            and slots.session_number = measured.session_number
            and slots.place_in_session = measured.place_in_session

),

carried as (

    select
        *,
        {% for average in averages -%}
            max(
                case
                    when first_session_number is not null then {{ average }}
                end
            ) over since_measured as carried_{{ average }},
        {% endfor -%}
        max(first_session_number) over since_measured
            as carried_first_session_number

    from filled

    window since_measured as (
        partition by symbol_id, timeframe, place_in_session, n_measured
    )

),

expected as (

    select
        symbol_id,
        calendar,
        timeframe,
        full_session_bars,
        from_session_number,
        recent_candles,
        session_number,
        place_in_session,
        bar_number,
        {% for average in averages -%}
            case
                when
                    carried_first_session_number
                    > session_number - {{ longest_sessions }}
                    then carried_{{ average }}
            end as {{ variances[loop.index0] }},
        {% endfor -%}
        candle,
        -- A bar's candle against what its place was to be expected to show.
        case
            when first_session_number > session_number - {{ longest_sessions }}
                then candle / nullif(mean_candle_variance, 0)
        end as surprise,
        max_recorded_at

    from carried

),

summed_up as (

    select
        *,
        -- Of the last places, or of all that a shorter session has.
        {% for variance in variances[:3] -%}
            {{ variance }}
            {%- for places in range(1, places_ahead) %}
                + case
                    when full_session_bars > {{ places }}
                        then lag({{ variance }}, {{ places }}) over all_places
                    else 0
                end
            {%- endfor %} as last_{{ variance }},
        {% endfor -%}
        {% for summed in [
            ('place_variance', 'variance'),
            ('place_candle_variance', 'candle_variance'),
            ('surprise', 'surprises'),
            ('candle', 'candles'),
        ] -%}
            sum(coalesce({{ summed[0] }}, 0)) over session_places
                as {{ summed[1] }}_to_place,
        {% endfor -%}
        {% for counted in ['surprise', 'candle'] -%}
            sum(case when {{ counted }} is null then 0.0 else 1.0 end)
                over session_places as n_{{ counted }}s_to_place,
        {% endfor -%}
        -- Over the last bars, as far as they were observed.
        coalesce(surprise, 0)
        {%- for places in range(1, places_ahead) %}
            + case
                when recent_candles > {{ places }}
                    then coalesce(
                        lag(surprise, {{ places }}) over all_places, 0
                    )
                else 0
            end
        {%- endfor %} as recent_surprises,
        case when surprise is null then 0.0 else 1.0 end
        {%- for places in range(1, places_ahead) %}
            + case
                when
                    recent_candles > {{ places }}
                    and lag(surprise, {{ places }}) over all_places is not null
                    then 1.0
                else 0.0
            end
        {%- endfor %} as n_recent_surprises,
        max(case when place_variance is null then bar_number end) over (
            partition by symbol_id, timeframe
            order by session_number asc, place_in_session asc
            rows between unbounded preceding and current row
        ) as last_unknown_bar_number,
        max(max_recorded_at) over session_places as recorded_to_place

    from expected

    window
        session_places as (
            partition by symbol_id, timeframe, session_number
            order by place_in_session asc
            rows between unbounded preceding and current row
        ),
        all_places as (
            partition by symbol_id, timeframe
            order by session_number asc, place_in_session asc
        )

),

-- Sums of what is never negative: the largest is that of the whole session.
totalled as (

    select
        *,
        {% for total in totals -%}
            max({{ total }}_to_place) over whole_session as total_{{ total }},
        {% endfor -%}
        max(recorded_to_place) over whole_session as session_recorded_at

    from summed_up

    window whole_session as (
        partition by symbol_id, timeframe, session_number
    )

),

with_previous_session as (

    select
        *,
        {% for total in totals[:4] -%}
            lag({{ total }}_to_place) over sessions_of_place
                as previous_{{ total }}_to_place,
            lag(total_{{ total }}) over sessions_of_place
                as previous_total_{{ total }},
        {% endfor -%}
        -- Of as many sessions as surprises are averaged over, to this place.
        {% for total in totals[2:4] -%}
            {{ total }}_to_place
            {%- for sessions in range(1, surprise_sessions + 1) %}
                + coalesce(
                    lag(total_{{ total }}, {{ sessions }})
                        over sessions_of_place, 0
                )
            {%- endfor %}
            - coalesce(
                lag({{ total }}_to_place, {{ surprise_sessions }})
                    over sessions_of_place, 0
            ) as long_{{ total }},
        {% endfor -%}
        -- Of all bars that the profile can be made from, up to this place.
        greatest(
            recorded_to_place,
            max(session_recorded_at) over sessions_of_place
        ) as last_recorded_at

    from totalled

    window sessions_of_place as (
        partition by symbol_id, timeframe, place_in_session
        order by session_number asc
        rows between {{ reached_sessions + 1 }} preceding and 1 preceding
    )

),

-- The mean candle of a session's bars, over the last sessions that had ended.
levels as (

    select
        symbol_id,
        timeframe,
        session_number,
        sum(total_candles) over last_sessions
        / nullif(sum(total_n_candles) over last_sessions, 0) as mean_candle,
        sum(total_candles) over more_sessions
        / nullif(sum(total_n_candles) over more_sessions, 0)
            as long_mean_candle

    from totalled

    where place_in_session = 1

    window
        last_sessions as (
            partition by symbol_id, timeframe
            order by session_number asc
            rows between {{ window_bars }} preceding and 1 preceding
        ),
        more_sessions as (
            partition by symbol_id, timeframe
            order by session_number asc
            rows between {{ long_sessions }} preceding and 1 preceding
        )

),

-- Around a bar stand the places up to its own in this session and those after
-- it in the session before: all that is known of the coming session. As many
-- bars of the grid as a full session has must all be known, so that any shorter
-- span is, too.
around as (

    select
        *,
        case
            when
                last_unknown_bar_number is null
                or bar_number - last_unknown_bar_number >= full_session_bars
                then
                    variance_to_place
                    + previous_total_variance
                    - previous_variance_to_place
        end as session_variance,
        -- Known where the moves of the same places are.
        candle_variance_to_place
        + previous_total_candle_variance
        - previous_candle_variance_to_place as session_candle_variance,
        least({{ places_ahead }}, full_session_bars) as n_places_ahead

    from with_previous_session

    where session_number >= from_session_number

),

-- The places that come next are, of these, the oldest: they end the session
-- before or, where that has no more of them, begin this one.
aimed as (

    select
        *,
        case
            when place_in_session + n_places_ahead > full_session_bars
                then session_number
            else session_number - 1
        end as ahead_session_number,
        mod(place_in_session + n_places_ahead - 1, full_session_bars)
        + 1 as ahead_place_in_session

    from around

),

profiles as (

    select
        aimed.symbol_id,
        aimed.calendar,
        aimed.timeframe,
        aimed.session_number,
        aimed.place_in_session,
        aimed.full_session_bars,
        aimed.place_variance,
        aimed.session_variance,
        aimed.variance_to_place,
        aimed.previous_variance_to_place,
        aimed.session_candle_variance,
        aimed.candle_variance_to_place,
        aimed.previous_candle_variance_to_place,
        {{ log_surprise(
            'aimed.recent_surprises', 'aimed.n_recent_surprises'
        ) }} as recent_surprise,
        {{ log_surprise(
            'aimed.surprises_to_place'
            ~ ' + coalesce(aimed.previous_total_surprises, 0)'
            ~ ' - coalesce(aimed.previous_surprises_to_place, 0)',
            'aimed.n_surprises_to_place'
            ~ ' + coalesce(aimed.previous_total_n_surprises, 0)'
            ~ ' - coalesce(aimed.previous_n_surprises_to_place, 0)'
        ) }} as session_surprise,
        {{ log_surprise(
            'aimed.long_surprises', 'aimed.long_n_surprises'
        ) }} as week_surprise,
        {{ log_variance_ratio(
            'levels.long_mean_candle', 'levels.mean_candle'
        ) }} as candle_trend,
        {{ log_variance_level(
            'coalesce(levels.mean_candle * aimed.full_session_bars,'
            ~ ' aimed.session_candle_variance)'
        ) }} as candle_level,
        aimed.last_recorded_at,
        ahead.last_place_variance as ahead_variance,
        ahead.last_recent_variance as ahead_recent_variance,
        ahead.last_range_variance as ahead_range_variance

    from aimed

    left join summed_up as ahead
        on
            aimed.symbol_id = ahead.symbol_id
            and aimed.timeframe = ahead.timeframe
            and aimed.ahead_session_number = ahead.session_number
            and aimed.ahead_place_in_session = ahead.place_in_session

    left join levels
        on
            aimed.symbol_id = levels.symbol_id
            and aimed.timeframe = levels.timeframe
            and aimed.session_number = levels.session_number

)

select * from profiles
