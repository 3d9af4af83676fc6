with

source as (

    select * from {{ source('ml', 'job_runs') }}

),

renamed as (

    select

        ---------- ids
        job_run_id,
        job,

        ---------- timestamps
        started_at

    from source

)

select * from renamed
