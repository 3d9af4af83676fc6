-- The seed counts where it has any horizon of a calendar and timeframe.
with

seeded as (

    select
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        is_base

    from {{ ref('horizons') }}

),

defaults as (

    select
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        is_base

    from {{ ref('stg_market__default_horizons') }}

),

seeded_series as (

    select distinct
        calendar,
        timeframe

    from seeded

),

completed as (

    select * from seeded

    union all

    select defaults.*

    from defaults

    left join seeded_series
        on
            defaults.calendar = seeded_series.calendar
            and defaults.timeframe = seeded_series.timeframe

    where seeded_series.calendar is null

),

placed as (

    select
        *,
        least(
            row_number() over (
                partition by calendar, timeframe
                order by horizon_bars asc, horizon asc
            ), 3
        ) as horizon_place

    from completed

)

select * from placed
