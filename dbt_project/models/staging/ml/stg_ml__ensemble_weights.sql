-- Weights are known when their version is.
with

versions as (

    select version_id

    from {{ source('ml', 'ensembles') }}

    where {{ is_not_after_as_of('as_of') }}

),

source as (

    select weights.*

    from {{ source('ml', 'ensemble_weights') }} as weights

    inner join versions
        on weights.version_id = versions.version_id

),

renamed as (

    select

        ---------- ids
        version_id,

        ---------- member
        horizon,
        member,

        ---------- numerics
        weight,
        alpha,

        ---------- text
        method,
        reason,

        ---------- timestamps
        created_at

    from source

)

select * from renamed
