with

deployments as (

    select
        deployment_id,
        symbol_id,
        timeframe,
        horizon,
        version_id,
        effective_at,
        superseded_at

    from {{ ref('stg_ml__deployment_spans') }}

),

weights as (

    select
        version_id,
        horizon,
        member,
        weight,
        method,
        alpha,
        reason

    from {{ ref('stg_ml__ensemble_weights') }}

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

deployed as (

    select
        deployments.deployment_id,
        symbols.ticker,
        deployments.timeframe,
        deployments.horizon,
        weights.member,
        weights.weight,
        weights.method,
        weights.alpha,
        weights.reason,
        deployments.version_id,
        deployments.effective_at,
        deployments.superseded_at

    from deployments

    inner join symbols
        on deployments.symbol_id = symbols.symbol_id

    inner join weights
        on
            deployments.version_id = weights.version_id
            and deployments.horizon = weights.horizon

    -- What took effect together with a later decision never was live.
    where
        deployments.superseded_at is null
        or deployments.superseded_at > deployments.effective_at

)

select * from deployed
