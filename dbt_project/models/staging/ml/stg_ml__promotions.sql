with

source as (

    select * from {{ source('ml', 'promotions') }}

    where
        {{ is_not_after_as_of('as_of') }}
        {% if var('backtest', none) is none -%}
            and run_name is null
        {%- else -%}
            and {{ is_of_the_backtest() }}
        {%- endif %}

),

renamed as (

    select

        ---------- ids
        promotion_id,
        job_run_id,

        ---------- series
        calendar,
        timeframe,
        horizon,
        verdict,
        is_promoted,
        reason,

        ---------- numerics
        n_series,

        ---------- timestamps
        as_of,
        created_at

    from source

)

select * from renamed
