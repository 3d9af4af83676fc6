with

source as (

    select * from {{ source('ml', 'evidence_restarts') }}

    where
        {% if var('backtest', none) is none -%}
            {{ is_not_after_as_of('restarted_at') }}
        {%- else -%}
            -- What was done about live forecasts is none of a backtest's.
            false
        {%- endif %}

),

renamed as (

    select

        ---------- ids
        evidence_restart_id,
        symbol_id,
        retrain_request_id,

        ---------- series
        timeframe,
        reason,

        ---------- timestamps
        restarted_at,
        created_at

    from source

)

select * from renamed
