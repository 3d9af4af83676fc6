with

outcomes as (

    select * from {{ ref('int_outcomes_joined_to_bets') }}

),

restarts as (

    select
        symbol_id,
        timeframe,
        restarted_at

    from {{ ref('int_evidence_restarts_narrowed_to_last') }}

),

counted as (

    select outcomes.*

    from outcomes

    left join restarts
        on
            outcomes.symbol_id = restarts.symbol_id
            and outcomes.timeframe = restarts.timeframe

    where
        restarts.restarted_at is null
        or outcomes.closed_at >= restarts.restarted_at

),

{% set n_bets = {
    'skill': skill_stakes() | length,
    'hits': accuracy_losses() | length,
} -%}
added as (

    select
        forecast_id,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        stream,
        closed_at,
        settled_at,
        {% for test, n in n_bets.items() -%}
            {% for number in range(1, n + 1) -%}
                {{ evidence_after(test ~ '_bet_' ~ number, 'null') }} over (
                    partition by
                        symbol_id, ticker, calendar, timeframe, horizon, stream
                    order by closed_at asc
                ) as {{ test }}_evidence_{{ number }},
            {% endfor -%}
        {% endfor -%}
        expected_hit_rate

    from counted

),

averaged as (

    select
        forecast_id,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        stream,
        closed_at,
        settled_at,
        {{ mean_over_bets('skill_evidence', n_bets['skill']) }}
            as skill_evidence,
        case
            when expected_hit_rate is not null
                then {{ mean_over_bets('hits_evidence', n_bets['hits']) }}
        end as hits_evidence

    from added

)

select * from averaged
