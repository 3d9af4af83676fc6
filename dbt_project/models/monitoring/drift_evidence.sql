with

streams as (

    select
        case when symbol_id > 0 then test else 'pooled_' || test end as test,
        nullif(symbol_id, 0) as symbol_id,
        timeframe,
        horizon,
        evidence,
        threshold,
        observations_per_year,
        n_settled,
        last_settled_at,
        alarm_since,
        restarted_at

    from {{ ref('evidence_streams') }}

),

timeframes as (

    select timeframe from {{ ref('timeframes') }}

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

rules as (

    select false_discovery_rate from {{ ref('evidence_rules') }}

),

-- Streams share the bars of a year, so that the largest of them alarms at the
-- threshold of one.
combined as (

    select
        streams.symbol_id,
        streams.timeframe,
        streams.horizon,
        streams.test,
        max(streams.evidence) as evidence,
        max(streams.threshold) as threshold,
        max(streams.observations_per_year) as observations_per_year,
        cast(sum(streams.n_settled) as integer) as n_settled,
        max(streams.last_settled_at) as last_settled_at,
        min(streams.alarm_since) as alarm_since,
        max(streams.restarted_at) as restarted_at

    from streams

    inner join timeframes
        on streams.timeframe = timeframes.timeframe

    group by
        streams.symbol_id, streams.timeframe, streams.horizon, streams.test

),

-- At most 1 on average while all is well, however often it is looked at within
-- a year.
scaled as (

    select
        *,
        evidence / greatest(observations_per_year, n_settled) as e_value

    from combined

),

ranked as (

    select
        *,
        row_number() over (
            partition by timeframe, horizon, test
            order by -e_value asc, symbol_id asc
        ) as place,
        count(*) over (
            partition by timeframe, horizon, test
        ) as n_tested

    from scaled

),

discovered as (

    select
        ranked.*,
        max(
            case
                when
                    ranked.e_value * ranked.place * rules.false_discovery_rate
                    >= ranked.n_tested
                    then ranked.place
            end
        ) over (
            partition by ranked.timeframe, ranked.horizon, ranked.test
        ) as n_discovered

    from ranked

    cross join rules

),

reported as (

    select
        discovered.symbol_id,
        symbols.ticker,
        discovered.timeframe,
        discovered.horizon,
        discovered.test,
        discovered.evidence,
        discovered.threshold,
        discovered.alarm_since is not null as is_alarm,
        discovered.place <= coalesce(discovered.n_discovered, 0)
            as is_discovery,
        discovered.alarm_since,
        discovered.n_settled,
        discovered.last_settled_at,
        discovered.restarted_at,
        discovered.e_value,
        cast(discovered.n_tested as integer) as n_tested

    from discovered

    left join symbols
        on discovered.symbol_id = symbols.symbol_id

)

select * from reported
