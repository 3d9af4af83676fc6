with

members as (

    select * from {{ ref('int_forecasts_split_to_members') }}

),

weights as (

    select
        version_id,
        horizon,
        member,
        weight

    from {{ ref('stg_ml__ensemble_weights') }}

),

weighed as (

    select
        members.forecast_id,
        members.symbol_id,
        members.ticker,
        members.timeframe,
        members.horizon,
        members.horizon_bars,
        members.closed_at,
        members.direction,
        members.member,
        weights.weight,
        members.probability_bearish,
        members.probability_neutral,
        members.probability_bullish,
        {{ of_class('members.direction', 'members.probability') }}
            as probability_of_direction,
        {{ of_class('members.direction', 'members.climatology') }}
            as climatology_of_direction,
        members.version_id

    from members

    left join weights
        on
            members.version_id = weights.version_id
            and members.horizon = weights.horizon
            and members.member = weights.member

),

contributed as (

    select
        forecast_id,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        horizon_bars,
        closed_at,
        direction,
        member,
        weight,
        probability_bearish,
        probability_neutral,
        probability_bullish,
        weight * (probability_of_direction - climatology_of_direction)
            as contribution,
        version_id

    from weighed

)

select * from contributed
