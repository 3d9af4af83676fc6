with

source as (

    {% if var('backtest', none) is none -%}
        select * from {{ source('ml', 'deployment_spans') }}

        where {{ is_not_after_as_of('effective_at') }}
    {%- else -%}
        select * from {{ source('ml', 'backtest_deployment_spans') }}

        where {{ is_of_the_backtest() }}
    {%- endif %}

),

renamed as (

    select

        ---------- ids
        deployment_id,
        symbol_id,
        version_id,

        ---------- series
        timeframe,
        horizon,
        reason,

        ---------- timestamps
        effective_at,
        case
            when {{ is_not_after_as_of('superseded_at') }} then superseded_at
        end as superseded_at,
        created_at

    from source

)

select * from renamed
