{%- set levels = [50, 80, 95] -%}
{%- set sums = [
    'n_inside', 'n_sided', 'n_below', 'n_above', 'interval_score',
] -%}

with

times as (

    select * from {{ ref('int_market_times_cut_to_parts') }}

),

blocks as (

    select
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        block_number,
        turbulence,
        place_in_session,
        full_session_bars,
        is_in_window,
        cast(count(*) as double precision) as n_times,
        cast(sum(n_forecasts) as double precision) as n_forecasts,
        {% for level in levels -%}
            cast(sum(n_inside_{{ level }}) as double precision)
                as n_inside_{{ level }},
            cast(sum(n_sided_{{ level }}) as double precision)
                as n_sided_{{ level }},
            cast(sum(n_below_{{ level }}) as double precision)
                as n_below_{{ level }},
            cast(sum(n_above_{{ level }}) as double precision)
                as n_above_{{ level }},
            sum(interval_score_{{ level }}) as interval_score_{{ level }},
        {% endfor -%}
        min(closed_at) as first_closed_at,
        max(closed_at) as last_closed_at

    from times

    group by
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        block_number,
        turbulence,
        place_in_session,
        full_session_bars,
        is_in_window

),

windows as (

    select
        cast('total' as text) as period,
        false as is_rolling

    union all

    select
        cast('last_60_sessions' as text) as period,
        true as is_rolling

),

cuts as (

    select cast('all' as text) as cut_by

    union all

    select cast('turbulence' as text) as cut_by

    union all

    select cast('place_in_session' as text) as cut_by

),

levels as (

    {% for level in levels -%}
        select {{ level }} as band_level
        {{- '\n\n    union all\n\n    ' if not loop.last }}
    {%- endfor %}

),

-- Each block once for every cell that it counts in.
dealt as (

    select
        blocks.calendar,
        blocks.timeframe,
        blocks.horizon,
        blocks.horizon_bars,
        blocks.block_number,
        blocks.n_times,
        blocks.n_forecasts,
        blocks.first_closed_at,
        blocks.last_closed_at,
        windows.period,
        cuts.cut_by,
        case cuts.cut_by
            when 'all' then 'all'
            when 'place_in_session'
                then cast(blocks.place_in_session as text)
            when 'turbulence' then blocks.turbulence
        end as part,
        {% for column in sums -%}
            case
                {% for level in levels -%}
                    when levels.band_level = {{ level }}
                        then blocks.{{ column }}_{{ level }}
                {% endfor -%}
            end as {{ column }},
        {% endfor -%}
        levels.band_level

    from blocks

    cross join windows

    cross join cuts

    cross join levels

    where
        (blocks.is_in_window or not windows.is_rolling)
        and (
            cuts.cut_by = 'all'
            or (
                cuts.cut_by = 'turbulence'
                and blocks.turbulence is not null
            )
            or (
                cuts.cut_by = 'place_in_session'
                and blocks.full_session_bars > 1
            )
        )

),

block_sums as (

    select
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        period,
        cut_by,
        part,
        band_level,
        block_number,
        sum(n_times) as n_times,
        sum(n_forecasts) as n_forecasts,
        sum(n_inside) as n_inside,
        sum(n_sided) as n_sided,
        sum(n_below) as n_below,
        sum(n_above) as n_above,
        sum(interval_score) as interval_score,
        min(first_closed_at) as first_closed_at,
        max(last_closed_at) as last_closed_at

    from dealt

    group by
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        period,
        cut_by,
        part,
        band_level,
        block_number

),

cells as (

    select
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        period,
        cut_by,
        part,
        band_level,
        min(first_closed_at) as first_closed_at,
        max(last_closed_at) as last_closed_at,
        sum(n_forecasts) as n_forecasts,
        count(*) as n_blocks,
        greatest(sum(n_times) / horizon_bars, 1) as n_periods,
        sum(n_inside) / sum(n_forecasts) as coverage,
        sum(n_below) as n_below,
        sum(n_above) as n_above,
        sum(n_sided) as n_sided,
        sum(interval_score) as interval_score,
        sum(n_inside * n_inside) as inside_squared,
        sum(n_inside * n_forecasts) as inside_by_forecasts,
        sum(n_forecasts * n_forecasts) as forecasts_squared

    from block_sums

    group by
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        period,
        cut_by,
        part,
        band_level

),

measured as (

    select
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        band_level,
        period,
        cut_by,
        part,
        cast(n_forecasts as bigint) as n_forecasts,
        n_periods,
        coverage,
        cast(band_level as double precision) / 100 as nominal,
        coverage - cast(band_level as double precision) / 100
            as coverage_error,
        {{ wilson_end('coverage', 'n_periods', 'lower') }} as coverage_lower,
        {{ wilson_end('coverage', 'n_periods', 'upper') }} as coverage_upper,
        case
            when n_blocks > 1
                then
                    {{ guarded_sqrt(
                        'cast(n_blocks as double precision) / (n_blocks - 1)'
                        ~ ' * (inside_squared'
                        ~ ' - 2 * coverage * inside_by_forecasts'
                        ~ ' + coverage * coverage * forecasts_squared)'
                    ) }} / n_forecasts
        end as coverage_standard_error,
        cast(n_blocks as integer) as n_blocks,
        {{ guarded_ratio('n_below', 'n_sided') }} as share_below,
        {{ guarded_ratio('n_above', 'n_sided') }} as share_above,
        {{ guarded_ratio('interval_score', 'n_sided') }}
            as mean_interval_score,
        first_closed_at,
        last_closed_at

    from cells

),

judged as (

    select
        *,
        nominal < coverage_lower or nominal > coverage_upper
            as is_beyond_chance

    from measured

)

select * from judged
