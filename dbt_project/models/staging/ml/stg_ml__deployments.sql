with

source as (

    select * from {{ source('ml', 'deployments') }}

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
