with

source as (

    select * from {{ source('ml', 'job_runs') }}

    where {{ is_not_after_as_of('started_at') }}

),

renamed as (

    select

        ---------- ids
        job_run_id,
        job,
        status,

        ---------- numerics
        duration_seconds,
        processor_seconds,
        peak_memory_mb,

        ---------- timestamps
        started_at,
        finished_at

    from source

)

select * from renamed
