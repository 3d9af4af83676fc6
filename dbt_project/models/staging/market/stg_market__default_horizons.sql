with

default_horizons as (

    select
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        is_base

    from {{ source('market', 'default_horizons') }}

)

select * from default_horizons
