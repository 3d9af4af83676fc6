with

source as (

    select * from {{ source('ml', 'ensembles') }}

),

renamed as (

    select

        ---------- ids
        version_id,
        symbol_id,
        cut_id,

        ---------- series
        timeframe,

        ---------- timestamps
        as_of,
        created_at

    from source

)

select * from renamed
