with

source as (

    select * from {{ source('ml', 'retrain_requests') }}

    where {{ is_not_after_as_of('requested_at') }}

),

renamed as (

    select

        ---------- ids
        retrain_request_id,
        symbol_id,
        served_version_id,
        served_by as served_by_job_run_id,

        ---------- series
        timeframe,
        kind,
        reason,
        requested_by,
        status,

        ---------- numerics
        n_attempts,

        ---------- timestamps
        requested_at,
        served_at

    from source

)

select * from renamed
