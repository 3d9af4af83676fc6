with

forecasts as (

    select
        forecast_id,
        symbol_id,
        timeframe,
        horizon,
        closed_at,
        run_kind,
        run_name,
        version_id

    from {{ ref('stg_ml__forecasts') }}

),

ensembles as (

    select
        version_id,
        as_of

    from {{ ref('stg_ml__ensembles') }}

),

deployments as (

    select
        symbol_id,
        timeframe,
        horizon,
        version_id,
        effective_at

    from {{ ref('stg_ml__deployment_spans') }}

),

first_deployments as (

    select
        symbol_id,
        timeframe,
        horizon,
        version_id,
        min(effective_at) as effective_at

    from deployments

    group by symbol_id, timeframe, horizon, version_id

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

-- A version that is not on record counts as from the future. A backtest's
-- versions need not have been deployed, but must not know the future either.
judged as (

    select
        forecasts.forecast_id,
        forecasts.symbol_id,
        symbols.ticker,
        forecasts.timeframe,
        forecasts.horizon,
        forecasts.run_kind,
        forecasts.run_name,
        forecasts.closed_at,
        forecasts.version_id,
        ensembles.as_of,
        first_deployments.effective_at,
        coalesce(ensembles.as_of > forecasts.closed_at, true)
            as is_trained_after_close,
        forecasts.run_kind <> 'backtest'
        and coalesce(
            first_deployments.effective_at > forecasts.closed_at, true
        ) as is_deployed_after_close

    from forecasts

    inner join symbols
        on forecasts.symbol_id = symbols.symbol_id

    left join ensembles
        on forecasts.version_id = ensembles.version_id

    left join first_deployments
        on
            forecasts.symbol_id = first_deployments.symbol_id
            and forecasts.timeframe = first_deployments.timeframe
            and forecasts.horizon = first_deployments.horizon
            and forecasts.version_id = first_deployments.version_id

),

violations as (

    select * from judged

    where
        is_trained_after_close
        or is_deployed_after_close

),

unaccepted as (

    {{ without_exceptions(
        'audit_forecast_by_version_from_its_future', 'violations'
    ) }}

)

select * from unaccepted
