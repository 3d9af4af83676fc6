with

source as (

    select * from {{ source('ml', 'accepted_findings') }}

    where {{ is_not_after_as_of('accepted_at') }}

),

renamed as (

    select

        ---------- ids
        accepted_finding_id,
        symbol_id,

        ---------- finding
        kind,
        session_date,
        reason,
        accepted_by,

        ---------- timestamps
        accepted_at

    from source

)

select * from renamed
