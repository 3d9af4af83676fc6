-- Coarser bars are rolled up here and not in a step of their own, so that the
-- loaded bars are read and adjusted once for all timeframes.
{%- set columns = [
    'symbol_id', 'ticker', 'calendar', 'timeframe', 'bar_number',
    'session_date', 'session_number', 'place_in_session', 'session_bars',
    'opened_at', 'closed_at', 'open', 'high', 'low', 'close', 'volume',
    'adjusted_open', 'adjusted_high', 'adjusted_low', 'adjusted_close',
    'adjusted_volume', 'rolled_up_from', 'n_parts', 'n_grid_parts',
    'higher_timeframe', 'higher_bar_number', 'max_recorded_at', 'batch_id',
] %}

with

loaded as (

    select
        *,
        cast(null as text) as rolled_up_from,
        cast(null as integer) as n_parts,
        cast(null as integer) as n_grid_parts

    from {{ ref('int_bars_adjusted') }}

),

rolled_up_series as (

    select
        symbol_id,
        timeframe,
        rolled_up_from

    from {{ ref('int_series_rolled_up') }}

),

grid as (

    select * from {{ ref('bar_grid') }}

),

timeframes as (

    select
        timeframe,
        minutes,
        min_parts_share

    from {{ ref('timeframes') }}

),

-- Bars of each timeframe that a week has. Not counted on the grid, which is not
-- spelled out from its first week on.
weeks as (

    select
        calendar,
        week_number,
        count(*) as d1_bars,
        sum(h4_bars) as h4_bars,
        sum(h1_bars) as h1_bars,
        sum(m15_bars) as m15_bars

    from {{ ref('int_sessions_split_into_bars') }}

    group by calendar, week_number

),

-- Every loaded bar once for each coarser bar that it is a part of.
parts as (

    select
        loaded.symbol_id,
        loaded.ticker,
        loaded.calendar,
        series.timeframe,
        series.rolled_up_from,
        loaded.bar_number as part_number,
        loaded.opened_at,
        loaded.closed_at,
        loaded.adjusted_open,
        loaded.adjusted_high,
        loaded.adjusted_low,
        loaded.adjusted_close,
        loaded.adjusted_volume,
        loaded.close,
        loaded.volume,
        loaded.max_recorded_at,
        loaded.batch_id,
        case series.timeframe
            when 'h1' then loaded.h1_bar_number
            when 'h4' then loaded.h4_bar_number
            when 'd1' then loaded.d1_bar_number
            when 'w1' then loaded.w1_bar_number
        end as bar_number

    from loaded

    inner join rolled_up_series as series
        on
            loaded.symbol_id = series.symbol_id
            and loaded.timeframe = series.rolled_up_from

),

placed as (

    select
        parts.*,
        grid.session_date,
        grid.session_number,
        grid.place_in_session,
        grid.session_bars,
        grid.opened_at as bar_opened_at,
        grid.closed_at as bar_closed_at,
        grid.higher_timeframe,
        grid.higher_bar_number,
        parts.opened_at = grid.opened_at as is_first,
        parts.closed_at = grid.closed_at as is_last

    from parts

    inner join grid
        on
            parts.calendar = grid.calendar
            and parts.timeframe = grid.timeframe
            and parts.bar_number = grid.bar_number

),

-- A coarser bar closes when its last part does: without that there is no close
-- and no bar.
grouped as (

    select
        symbol_id,
        timeframe,
        bar_number,
        max(ticker) as ticker,
        max(calendar) as calendar,
        max(rolled_up_from) as rolled_up_from,
        max(session_date) as session_date,
        max(session_number) as session_number,
        max(place_in_session) as place_in_session,
        max(session_bars) as session_bars,
        max(bar_opened_at) as opened_at,
        max(bar_closed_at) as closed_at,
        max(higher_timeframe) as higher_timeframe,
        max(higher_bar_number) as higher_bar_number,
        max(case when is_first then adjusted_open end) as first_adjusted_open,
        max(adjusted_high) as adjusted_high,
        min(adjusted_low) as adjusted_low,
        max(case when is_last then adjusted_close end) as adjusted_close,
        -- In decimals, whose sum does not depend on the order of the rows.
        cast(
            sum(cast(adjusted_volume as decimal(38, 10))) as double precision
        ) as adjusted_volume,
        max(case when is_last then close end) as close,
        max(
            case when is_last then volume / nullif(adjusted_volume, 0) end
        ) as shares_per_adjusted_share,
        max(max_recorded_at) as max_recorded_at,
        max(batch_id) as batch_id,
        min(part_number) as first_part_number,
        cast(count(*) as integer) as n_parts

    from placed

    group by symbol_id, timeframe, bar_number

    having max(case when is_last then 1 else 0 end) = 1

),

counted as (

    select
        grouped.*,
        timeframes.min_parts_share,
        cast(
            case
                {% for timeframe in ['m15', 'h1', 'h4', 'd1'] -%}
                    when
                        grouped.timeframe = 'w1'
                        and grouped.rolled_up_from = '{{ timeframe }}'
                        then weeks.{{ timeframe }}_bars
                {% endfor -%}
                else
                    ceil(
                        {{ minutes_between(
                            'grouped.opened_at', 'grouped.closed_at'
                        ) }}
                        / cast(part_timeframes.minutes as double precision)
                    )
            end as integer
        ) as n_grid_parts

    from grouped

    inner join timeframes
        on grouped.timeframe = timeframes.timeframe

    inner join timeframes as part_timeframes
        on grouped.rolled_up_from = part_timeframes.timeframe

    left join weeks
        on
            grouped.calendar = weeks.calendar
            and grouped.bar_number = weeks.week_number

),

-- One that lacks too many parts is a hole, never a bar of what is left.
whole_enough as (

    select *

    from counted

    where
        n_parts / cast(n_grid_parts as double precision) >= min_parts_share

),

-- Where the first part is missing the bar opens with the next that is there.
-- Not a left join: guessed to find one row, it would go through all loaded bars
-- for each.
opened as (

    select
        whole_enough.*,
        whole_enough.first_adjusted_open as adjusted_open

    from whole_enough

    where whole_enough.first_adjusted_open is not null

    union all

    select
        whole_enough.*,
        loaded.adjusted_open

    from whole_enough

    inner join loaded
        on
            whole_enough.symbol_id = loaded.symbol_id
            and whole_enough.rolled_up_from = loaded.timeframe
            and whole_enough.first_part_number = loaded.bar_number

    where whole_enough.first_adjusted_open is null

),

-- As traded means on the basis of the bar's last part: a split inside a week
-- would otherwise leave its high and low on two bases.
rolled_up as (

    select
        *,
        adjusted_open * (close / adjusted_close) as open,
        -- Rounding must not leave the close outside its own range.
        greatest(adjusted_high * (close / adjusted_close), close) as high,
        least(adjusted_low * (close / adjusted_close), close) as low,
        adjusted_volume * coalesce(shares_per_adjusted_share, 1) as volume

    from opened

),

combined as (

    select {{ columns | join(', ') }}

    from loaded

    union all

    select {{ columns | join(', ') }}

    from rolled_up

)

select * from combined
