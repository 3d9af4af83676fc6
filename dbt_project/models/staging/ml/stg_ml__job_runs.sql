with

source as (

    select * from {{ source('ml', 'job_runs') }}

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
