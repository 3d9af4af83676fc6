-- Bars of the series that are due, in blocks that begin at fixed bar numbers,
-- each led by the last bars of the block before as its run-up. Every window
-- stays inside its block, so a block is computed alike alone and among all.
--
-- What is the same along a series is left to the work list: rows are sorted
-- and windowed by the million.
--
-- What was carried across a hole stands between the others: without range and
-- volume, and marked, so that no row is made of it.
{%- set block_bars = var('block_bars') | int(256) -%}
{%- set run_up_bars = var('longest_lookback_bars') | int(60) -%}
{%- set columns = [
    'symbol_id', 'timeframe', 'bar_number', 'session_date', 'session_number',
    'place_in_session', 'session_bars', 'closed_at', 'close', 'adjusted_open',
    'adjusted_high', 'adjusted_low', 'adjusted_close', 'adjusted_volume',
    'higher_bar_number', 'max_recorded_at', 'batch_id',
] %}

with

due as (

    select
        symbol_id,
        timeframe,
        series_number,
        min_window_share,
        is_read_by_finer,
        from_row_bar_number,
        from_block_number * {{ block_bars }} as from_block_bar_number

    from {{ ref('int_series_due') }}

),

-- Each bar in its own block, and once more in the run-up of the next one.
cut as (

    {% for relation, is_carried, is_run_up in [
        (ref('bars'), false, false),
        (ref('bars'), false, true),
        (ref('int_bars_carried_across_holes'), true, false),
        (ref('int_bars_carried_across_holes'), true, true),
    ] -%}
        select
            placed.{{ columns | join(',\n            placed.') }},
            {% if is_carried -%}
                placed.observed_bar_number,
            {% else -%}
                placed.bar_number as observed_bar_number,
            {% endif -%}
            {{ is_carried | lower }} as is_carried,
            due.series_number,
            due.min_window_share,
            due.is_read_by_finer,
            {{ block_id('due.series_number', 'placed.bar_number') }}
            {{ '+ 1' if is_run_up }} as block_id,
            {{ is_run_up | lower }} as is_run_up,
            {% if is_carried or is_run_up -%}
                false as is_row_due,
            {% else -%}
                placed.bar_number >= due.from_row_bar_number as is_row_due,
            {% endif -%}
            placed.bar_number
            >= due.from_row_bar_number - {{ run_up_bars }} as is_looked_back_at

        from {{ relation }} as placed

        inner join due
            on
                placed.symbol_id = due.symbol_id
                and placed.timeframe = due.timeframe
                and placed.bar_number
                >= due.from_block_bar_number
                - {{ run_up_bars if is_run_up else 0 }}

        {% if is_run_up -%}
            where
                mod(placed.bar_number, {{ block_bars }})
                >= {{ block_bars }} - {{ run_up_bars }}
        {% endif -%}
        {{- '\n\n        union all\n\n' if not loop.last }}
    {%- endfor %}

),

profiles as (

    select
        symbol_id,
        timeframe,
        session_number,
        place_in_session,
        full_session_bars,
        place_variance,
        session_variance,
        last_recorded_at,
        ahead_variance,
        ahead_recent_variance,
        ahead_range_variance,
        {{ scale_terms() | join(',\n        ') }}

    from {{ ref('int_session_profiles') }}

),

-- Bars of one session or longer have one place and no profile.
profiled as (

    select
        cut.block_id,
        cut.series_number,
        cut.is_read_by_finer,
        cut.is_run_up,
        cut.is_row_due,
        cut.is_looked_back_at,
        cut.is_carried,
        cut.min_window_share,
        cut.bar_number,
        cut.observed_bar_number,
        cut.session_date,
        cut.session_number,
        cut.place_in_session,
        cut.session_bars,
        cut.closed_at,
        cut.close,
        cut.adjusted_open,
        cut.adjusted_high,
        cut.adjusted_low,
        cut.adjusted_close,
        cut.adjusted_volume,
        cut.higher_bar_number,
        cut.max_recorded_at,
        cut.batch_id,
        coalesce(profiles.full_session_bars, 1) as full_session_bars,
        profiles.place_variance,
        profiles.session_variance as profile_variance,
        profiles.last_recorded_at as profile_recorded_at,
        profiles.ahead_variance,
        profiles.ahead_recent_variance,
        profiles.ahead_range_variance,
        profiles.{{ scale_terms() | join(',\n        profiles.') }}

    from cut

    left join profiles
        on
            cut.symbol_id = profiles.symbol_id
            and cut.timeframe = profiles.timeframe
            and cut.session_number = profiles.session_number
            and cut.place_in_session = profiles.place_in_session

)

select * from profiled
