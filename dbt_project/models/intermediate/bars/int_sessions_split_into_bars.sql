-- How many intraday bars each session has and how many came before it: what
-- numbers a bar on the grid, of its own timeframe and of coarser ones.
{%- set timeframes = ['m15', 'h1', 'h4'] %}

with

sessions as (

    select
        calendar,
        session_number,
        week_number,
        session_date,
        opened_at,
        closed_at,
        {{ minutes_between('opened_at', 'closed_at') }} as minutes

    from {{ ref('int_sessions_numbered_by_week') }}

),

-- One row, a column for each timeframe.
bar_minutes as (

    select
    {%- for timeframe in timeframes %}
            max(
                case when timeframe = '{{ timeframe }}' then minutes end
            ) as {{ timeframe }}_minutes
            {{- ',' if not loop.last }}
    {%- endfor %}

    from {{ ref('timeframes') }}

),

split as (

    select
        sessions.*,
    {% for timeframe in timeframes -%}
        bar_minutes.{{ timeframe }}_minutes,
        cast(
            ceil(
                sessions.minutes
                / cast(
                    bar_minutes.{{ timeframe }}_minutes as double precision
                )
            ) as integer
        ) as {{ timeframe }}_bars
        {{- ',' if not loop.last }}
    {% endfor %}

    from sessions

    cross join bar_minutes

),

numbered as (

    select
        *,
    {% for timeframe in timeframes -%}
        max({{ timeframe }}_bars) over (
            partition by calendar
            ) as full_{{ timeframe }}_bars,
        cast(
            sum({{ timeframe }}_bars) over (
                partition by calendar
                order by session_number asc
                rows between unbounded preceding and current row
                ) as integer
        ) - {{ timeframe }}_bars as {{ timeframe }}_bars_before
        {{- ',' if not loop.last }}
    {% endfor %}

    from split

)

select * from numbered
