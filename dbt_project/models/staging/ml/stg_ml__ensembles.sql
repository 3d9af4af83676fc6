with

source as (

    select * from {{ source('ml', 'ensembles') }}

    where {{ is_not_after_as_of('as_of') }}

),

renamed as (

    select

        ---------- ids
        version_id,
        symbol_id,
        cut_id,
        members_version_id,
        run_name,

        ---------- series
        timeframe,

        ---------- timestamps
        as_of,
        created_at

    from source

)

select * from renamed
