{#-
    Evidence is carried on: what has settled since the last build is added to
    what was there. Symbol 0 stands for all series of a calendar and timeframe.
-#}
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=[
            'test', 'symbol_id', 'calendar', 'timeframe', 'horizon', 'stream',
        ],
        on_schema_change='fail',
    )
}}

{%- set n_bets = {
    'skill': skill_stakes() | length,
    'hits': accuracy_losses() | length,
} %}
{#- Named outside of any condition, or dbt would not see it. #}
{%- set settled_outcomes = ref('forecast_outcomes') %}
{%- set beginning
    = "cast('0001-01-01 00:00:00+00' as timestamp with time zone)" %}

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

rates as (

    select
        calendar,
        timeframe,
        bars_per_year

    from {{ ref('int_bars_counted_to_years') }}

),

rules as (

    select
        alarms_per_year,
        skill_bound

    from {{ ref('evidence_rules') }}

),

deployments as (

    select distinct
        symbol_id,
        timeframe

    from {{ ref('stg_ml__deployment_spans') }}

),

symbols as (

    select
        symbol_id,
        calendar

    from {{ ref('stg_market__symbols') }}

),

deployed_series as (

    select
        deployments.symbol_id,
        deployments.timeframe,
        symbols.calendar

    from deployments

    inner join symbols
        on deployments.symbol_id = symbols.symbol_id

),

-- Calendars of one timeframe share the budget of its pooled tests.
pooled_rates as (

    select
        rates.timeframe,
        sum(rates.bars_per_year) as bars_per_year

    from rates

    where
        exists (
            select 1 as is_deployed

            from deployed_series

            where
                deployed_series.calendar = rates.calendar
                and deployed_series.timeframe = rates.timeframe
        )

    group by rates.timeframe

),
{% if is_incremental() %}

    stored as (

        select * from {{ this }}

    ),

    series_known as (

        select
            symbol_id,
            timeframe,
            max(last_settled_at) as known_until

        from stored

        where symbol_id > 0

        group by symbol_id, timeframe

    ),

    pools_known as (

        select
            calendar,
            timeframe,
            max(last_settled_at) as known_until

        from stored

        where symbol_id = 0

        group by calendar, timeframe

    ),

    bounded as (

        select
            deployed_series.symbol_id,
            deployed_series.timeframe,
            coalesce(series_known.known_until, {{ beginning }})
                as series_known_until,
            coalesce(pools_known.known_until, {{ beginning }})
                as pool_known_until

        from deployed_series

        left join series_known
            on
                deployed_series.symbol_id = series_known.symbol_id
                and deployed_series.timeframe = series_known.timeframe

        left join pools_known
            on
                deployed_series.calendar = pools_known.calendar
                and deployed_series.timeframe = pools_known.timeframe

    ),

    -- From the end of each series' key, so that a day costs what a day settles.
    fresh as (

        select
            found.forecast_id,
            found.settled_at > bounded.series_known_until as is_new_to_series,
            found.settled_at > bounded.pool_known_until as is_new_to_pool

        from bounded

        cross join lateral (
            select
                settled.forecast_id,
                settled.settled_at

            from {{ settled_outcomes }} as settled

            where
                settled.symbol_id = bounded.symbol_id
                and settled.timeframe = bounded.timeframe
                and settled.settled_at
                > least(bounded.series_known_until, bounded.pool_known_until)
                and settled.is_counted

            {{ computed_once() }}
        ) as found

    ),

    scored as (

        select
            outcomes.*,
            fresh.is_new_to_series,
            fresh.is_new_to_pool

        from fresh

        inner join outcomes
            on fresh.forecast_id = outcomes.forecast_id

        -- By their numbers: of all others nothing is joined then.
        where
            {{ is_among(
                'outcomes.forecast_id',
                'select found.forecast_id from fresh as found',
            ) }}

    ),
{% else %}

    scored as (

        select
            outcomes.*,
            true as is_new_to_series,
            true as is_new_to_pool

        from outcomes

    ),
{% endif %}

series_observed as (

    select
        scored.symbol_id,
        scored.calendar,
        scored.timeframe,
        scored.horizon,
        scored.stream,
        scored.closed_at,
        scored.settled_at,
        {% for test, n in n_bets.items() -%}
            {% for number in range(1, n + 1) -%}
                scored.{{ test }}_bet_{{ number }},
            {% endfor -%}
        {% endfor -%}
        rates.bars_per_year

    from scored

    inner join rates
        on
            scored.calendar = rates.calendar
            and scored.timeframe = rates.timeframe

    left join restarts
        on
            scored.symbol_id = restarts.symbol_id
            and scored.timeframe = restarts.timeframe

    where
        scored.is_new_to_series
        and scored.closed_at
        >= coalesce(restarts.restarted_at, {{ beginning }})

),

-- What all series say of one time is one observation, however much they have
-- in common.
pooled as (

    select
        scored.calendar,
        scored.timeframe,
        scored.horizon,
        scored.stream,
        scored.closed_at,
        max(scored.settled_at) as settled_at,
        avg(scored.gain) as gain,
        avg(case when scored.expected_hit_rate is not null then scored.hit end)
            as hit_rate,
        avg(scored.expected_hit_rate) as expected_hit_rate

    from scored

    left join restarts
        on
            restarts.symbol_id = 0
            and scored.timeframe = restarts.timeframe

    where
        scored.is_new_to_pool
        and scored.closed_at
        >= coalesce(restarts.restarted_at, {{ beginning }})

    group by
        scored.calendar,
        scored.timeframe,
        scored.horizon,
        scored.stream,
        scored.closed_at

),

pooled_observed as (

    select
        0 as symbol_id,
        pooled.calendar,
        pooled.timeframe,
        pooled.horizon,
        pooled.stream,
        pooled.closed_at,
        pooled.settled_at,
        {% for stake in skill_stakes() -%}
            {{ skill_bet('pooled.gain', 'rules.skill_bound', stake) }}
                as skill_bet_{{ loop.index }},
        {% endfor -%}
        {% for stake in pooled_hits_stakes() -%}
            {{ pooled_hits_bet(
                'pooled.hit_rate', 'pooled.expected_hit_rate', stake
            ) }} as hits_bet_{{ loop.index }},
        {% endfor -%}
        pooled_rates.bars_per_year

    from pooled

    inner join pooled_rates
        on pooled.timeframe = pooled_rates.timeframe

    cross join rules

),

observed as (

    select * from series_observed

    union all

    select * from pooled_observed

),

-- Evidence so far; none where an alarm was acted on since.
continued as (

    {% if is_incremental() -%}
        select
            stored.test,
            stored.symbol_id,
            stored.calendar,
            stored.timeframe,
            stored.horizon,
            stored.stream,
            {{ kept_where(
                'restarts.restarted_at is null'
                ~ ' or stored.restarted_at >= restarts.restarted_at',
                [
                    'evidence_1', 'evidence_2', 'evidence_3', 'evidence_4',
                    'evidence', 'n_settled', 'alarm_since',
                ],
            ) }},
            stored.last_settled_at,
            coalesce(restarts.restarted_at, stored.restarted_at)
                as restarted_at,
            stored.threshold,
            stored.observations_per_year,
            restarts.restarted_at
            > coalesce(stored.restarted_at, {{ beginning }}) as is_reset

        from stored

        left join restarts
            on
                stored.symbol_id = restarts.symbol_id
                and stored.timeframe = restarts.timeframe
    {%- else -%}
        select
            cast(null as text) as test,
            cast(null as integer) as symbol_id,
            cast(null as text) as calendar,
            cast(null as text) as timeframe,
            cast(null as text) as horizon,
            cast(null as integer) as stream,
            {% for number in range(1, 5) -%}
                cast(null as double precision) as evidence_{{ number }},
            {% endfor -%}
            cast(null as double precision) as evidence,
            cast(null as integer) as n_settled,
            cast(null as timestamp with time zone) as alarm_since,
            cast(null as timestamp with time zone) as last_settled_at,
            cast(null as timestamp with time zone) as restarted_at,
            cast(null as double precision) as threshold,
            cast(null as double precision) as observations_per_year,
            false as is_reset

        from rules

        where false
    {%- endif %}

),

added as (

    select
        observed.symbol_id,
        observed.calendar,
        observed.timeframe,
        observed.horizon,
        observed.stream,
        observed.closed_at,
        observed.settled_at,
        observed.bars_per_year,
        observed.hits_bet_1 is not null as is_hits_bet,
        {% for test, n in n_bets.items() -%}
            {% for number in range(1, n + 1) -%}
                {{ evidence_after(
                    'observed.' ~ test ~ '_bet_' ~ number,
                    test ~ '_so_far.evidence_' ~ number,
                ) }} over (
                    partition by
                        observed.symbol_id,
                        observed.calendar,
                        observed.timeframe,
                        observed.horizon,
                        observed.stream
                    order by observed.closed_at asc
                ) as {{ test }}_evidence_{{ number }},
            {% endfor -%}
        {% endfor -%}
        max(observed.closed_at) over (
            partition by
                observed.symbol_id,
                observed.calendar,
                observed.timeframe,
                observed.horizon,
                observed.stream
        ) as last_closed_at

    from observed

    {% for test in n_bets -%}
        left join continued as {{ test }}_so_far
            on
                {{ test }}_so_far.test = '{{ test }}'
                and observed.symbol_id = {{ test }}_so_far.symbol_id
                and observed.calendar = {{ test }}_so_far.calendar
                and observed.timeframe = {{ test }}_so_far.timeframe
                and observed.horizon = {{ test }}_so_far.horizon
                and observed.stream = {{ test }}_so_far.stream

    {% endfor %}

),

judged as (

    select
        added.*,
        {% for test, n in n_bets.items() -%}
            {{ mean_over_bets('added.' ~ test ~ '_evidence', n) }}
                as {{ test }}_evidence,
        {% endfor -%}
        added.bars_per_year / rules.alarms_per_year as threshold

    from added

    cross join rules

),

summed as (

    {% for test, n in n_bets.items() -%}
        select
            '{{ test }}' as test,
            symbol_id,
            calendar,
            timeframe,
            horizon,
            stream,
            {% for number in range(1, 5) -%}
                {% if number <= n -%}
                    max(
                        case
                            when closed_at = last_closed_at
                                then {{ test }}_evidence_{{ number }}
                        end
                    )
                {%- else -%}
                    cast(null as double precision)
                {%- endif %} as evidence_{{ number }},
            {% endfor -%}
            max(
                case
                    when closed_at = last_closed_at then {{ test }}_evidence
                end
            ) as evidence,
            {{ 'count(*)' if test == 'skill'
                else 'count(case when is_hits_bet then 1 end)' }} as n_settled,
            min(
                case when {{ test }}_evidence >= threshold then settled_at end
            ) as alarm_since,
            max(settled_at) as last_settled_at,
            max(threshold) as threshold,
            max(bars_per_year) as observations_per_year

        from judged

        group by symbol_id, calendar, timeframe, horizon, stream

        {{ 'union all' if not loop.last }}
    {% endfor %}

),

carried_on as (

    select
        summed.test,
        summed.symbol_id,
        summed.calendar,
        summed.timeframe,
        summed.horizon,
        summed.stream,
        summed.evidence_1,
        summed.evidence_2,
        summed.evidence_3,
        summed.evidence_4,
        summed.evidence,
        summed.threshold,
        summed.observations_per_year,
        summed.n_settled + coalesce(continued.n_settled, 0) as n_settled,
        summed.last_settled_at,
        coalesce(continued.alarm_since, summed.alarm_since) as alarm_since,
        coalesce(restarts.restarted_at, continued.restarted_at)
            as restarted_at

    from summed

    left join continued
        on
            summed.test = continued.test
            and summed.symbol_id = continued.symbol_id
            and summed.calendar = continued.calendar
            and summed.timeframe = continued.timeframe
            and summed.horizon = continued.horizon
            and summed.stream = continued.stream

    left join restarts
        on
            summed.symbol_id = restarts.symbol_id
            and summed.timeframe = restarts.timeframe

    where summed.n_settled > 0 or continued.test is not null

),

-- Nothing has settled yet since the alarm was acted on.
begun_anew as (

    select
        test,
        symbol_id,
        calendar,
        timeframe,
        horizon,
        stream,
        0 as evidence_1,
        0 as evidence_2,
        0 as evidence_3,
        case when test = 'skill' then 0 end as evidence_4,
        0 as evidence,
        threshold,
        observations_per_year,
        0 as n_settled,
        last_settled_at,
        cast(null as timestamp with time zone) as alarm_since,
        restarted_at

    from continued

    where
        is_reset
        and not exists (
            select 1 as has_settled

            from carried_on

            where
                carried_on.test = continued.test
                and carried_on.symbol_id = continued.symbol_id
                and carried_on.calendar = continued.calendar
                and carried_on.timeframe = continued.timeframe
                and carried_on.horizon = continued.horizon
                and carried_on.stream = continued.stream
        )

),

combined as (

    select * from carried_on

    union all

    select * from begun_anew

),

typed as (

    select
        cast(test as text) as test,
        cast(symbol_id as integer) as symbol_id,
        calendar,
        timeframe,
        horizon,
        cast(stream as integer) as stream,
        {% for number in range(1, 5) -%}
            cast(evidence_{{ number }} as double precision)
                as evidence_{{ number }},
        {% endfor -%}
        cast(evidence as double precision) as evidence,
        cast(threshold as double precision) as threshold,
        cast(observations_per_year as double precision)
            as observations_per_year,
        cast(n_settled as integer) as n_settled,
        last_settled_at,
        alarm_since,
        restarted_at

    from combined

)

select * from typed
