with

source as (

    select * from {{ source('ml', 'ensemble_weights') }}

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
