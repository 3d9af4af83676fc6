with

source as (

    select * from {{ source('ml', 'backtest_steps') }}

    where {{ is_not_after_as_of('created_at') }}

),

renamed as (

    select

        ---------- ids
        run_name,
        step,

        ---------- numerics
        n_done,
        processor_seconds,
        peak_memory_mb,

        ---------- timestamps
        step_at,
        created_at

    from source

)

select * from renamed
