with

source as (

    select * from {{ source('ml', 'backtest_runs') }}

    where {{ is_not_after_as_of('created_at') }}

),

renamed as (

    select

        ---------- ids
        run_name,

        ---------- settings
        policy,
        retrain,
        weights,
        from_date,
        to_date,

        ---------- state
        status,
        code_version,

        ---------- timestamps
        created_at,
        finished_at

    from source

)

select * from renamed
