with

grid as (

    select
        calendar,
        timeframe,
        closed_at

    from {{ ref('bar_grid') }}

),

spanned as (

    select
        calendar,
        timeframe,
        count(*) as n_bars,
        extract(epoch from max(closed_at) - min(closed_at)) as n_seconds

    from grid

    group by calendar, timeframe

),

counted as (

    select
        calendar,
        timeframe,
        cast(
            {{ guarded_ratio(
                '(n_bars - 1) * 365.25 * 24 * 60 * 60', 'n_seconds'
            ) }}
            as double precision
        ) as bars_per_year

    from spanned

)

select * from counted
