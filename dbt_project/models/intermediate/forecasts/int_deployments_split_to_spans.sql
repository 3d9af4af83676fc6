with

deployments as (

    select * from {{ ref('stg_ml__deployments') }}

),

split as (

    select
        deployments.deployment_id,
        deployments.symbol_id,
        deployments.version_id,
        deployments.timeframe,
        horizons.horizon,
        deployments.reason,
        deployments.effective_at,
        deployments.created_at

    from deployments

    cross join
        lateral {{ json_array_texts('deployments.horizons') }}
            as horizons (horizon)

),

numbered as (

    select
        *,
        row_number() over (
            partition by symbol_id, timeframe, horizon
            order by effective_at asc, deployment_id asc
        ) as place

    from split

),

-- Of two that take effect at one time the last written holds, so the first
-- was never live: its span is empty.
spanned as (

    select
        numbered.deployment_id,
        numbered.symbol_id,
        numbered.version_id,
        numbered.timeframe,
        numbered.horizon,
        numbered.reason,
        numbered.effective_at,
        later.effective_at as superseded_at,
        numbered.created_at

    from numbered

    left join numbered as later
        on
            numbered.symbol_id = later.symbol_id
            and numbered.timeframe = later.timeframe
            and numbered.horizon = later.horizon
            and numbered.place + 1 = later.place

)

select * from spanned
