with

source as (

    select * from {{ source('ml', 'quarantined_series') }}

    where {{ is_not_after_as_of('quarantined_at') }}

),

renamed as (

    select

        ---------- ids
        quarantine_id,
        symbol_id,

        ---------- series
        timeframe,
        source,
        reason,
        details,

        ---------- timestamps
        fault_at,
        quarantined_at,
        case
            when {{ is_not_after_as_of('released_at') }} then released_at
        end as released_at

    from source

)

select * from renamed
