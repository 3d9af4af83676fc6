with

source as (

    select * from {{ source('ml', 'deployments') }}

    where {{ is_not_after_as_of('effective_at') }}

),

renamed as (

    select

        ---------- ids
        deployment_id,
        symbol_id,
        version_id,

        ---------- series
        timeframe,
        horizons,
        reason,

        ---------- timestamps
        effective_at,
        created_at

    from source

)

select * from renamed
