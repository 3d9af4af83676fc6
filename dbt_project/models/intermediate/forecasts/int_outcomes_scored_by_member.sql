{#- As of the ensemble in `forecast_outcomes`. -#}
{%- set smallest_probability = 1e-6 -%}

with

outcomes as (

    select * from {{ ref('int_outcomes_narrowed_to_one_per_bar') }}

),

forecasts as (

    select
        forecast_id,
        symbol_id,
        timeframe,
        bar_number,
        probability_bearish,
        probability_neutral,
        probability_bullish,
        member_probabilities

    from {{ ref('stg_ml__forecasts') }}

),

matched as (

    select
        outcomes.forecast_id,
        outcomes.symbol_id,
        outcomes.ticker,
        outcomes.calendar,
        outcomes.timeframe,
        outcomes.horizon,
        outcomes.horizon_bars,
        outcomes.closed_at,
        outcomes.outcome,
        outcomes.climatology_log_loss,
        forecasts.bar_number,
        forecasts.probability_bearish,
        forecasts.probability_neutral,
        forecasts.probability_bullish,
        forecasts.member_probabilities

    from outcomes

    inner join forecasts
        on
            outcomes.forecast_id = forecasts.forecast_id
            and outcomes.symbol_id = forecasts.symbol_id
            and outcomes.timeframe = forecasts.timeframe

),

contested as (

    select
        matched.forecast_id,
        matched.symbol_id,
        matched.ticker,
        matched.calendar,
        matched.timeframe,
        matched.horizon,
        matched.horizon_bars,
        matched.closed_at,
        matched.outcome,
        matched.climatology_log_loss,
        matched.bar_number,
        contestants.contestant,
        contestants.probability_bearish,
        contestants.probability_neutral,
        contestants.probability_bullish

    from matched

    cross join lateral (
        select
            cast('ensemble' as text) as contestant,
            matched.probability_bearish,
            matched.probability_neutral,
            matched.probability_bullish

        union all

        select
            members.member as contestant,
            {{ number_at('members.probabilities', 0) }} as probability_bearish,
            {{ number_at('members.probabilities', 1) }} as probability_neutral,
            {{ number_at('members.probabilities', 2) }} as probability_bullish

        from {{ entries_of('matched.member_probabilities') }}
            as members (member, probabilities)
    ) as contestants

),

judged as (

    select
        *,
        greatest(
            probability_bearish, probability_neutral, probability_bullish
        ) as largest_probability,
        {{ likeliest_class('probability') }} as direction,
        {{ of_class('outcome', 'probability') }} as probability_of_outcome

    from contested

),

scored as (

    select
        *,
        cast(
            case when direction = outcome then 1 else 0 end as double precision
        ) as hit,
        -ln(greatest(probability_of_outcome, {{ smallest_probability }}))
            as log_loss

    from judged

)

select * from scored
