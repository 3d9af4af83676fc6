-- A finding is about one series: it sets that series aside and stops no other.
-- What a person has accepted is no finding any more.
{%- set min_usable_rows = var('min_usable_rows') %}

with

states as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        stale_after_sessions,
        n_bars,
        n_usable_rows,
        is_usable,
        unusable_reason,
        last_session_date,
        last_session_number,
        last_closed_at

    from {{ ref('int_series_looked_up_to_states') }}

    where
        delisted_at is null
        and deactivated_at is null

),

-- How far the bars of the calendar reach, whoever's they are.
calendar_ends as (

    select
        calendar,
        max(last_session_number) as session_number,
        max(last_closed_at) as closed_at

    from {{ ref('int_series_looked_up_to_states') }}

    group by calendar

),

accepted as (

    select
        symbol_id,
        kind,
        session_date

    from {{ ref('stg_ml__accepted_findings') }}

),

too_few_rows as (

    select
        symbol_id,
        ticker,
        timeframe,
        'too_few_rows' as reason,
        concat(
            n_usable_rows,
            ' usable rows of ',
            n_bars,
            ' bars, {{ min_usable_rows }} are needed',
            case
                when not is_usable
                    then concat('; the newest bar: ', unusable_reason)
            end
        ) as details,
        cast(null as timestamp with time zone) as fault_at

    from states

    where n_usable_rows < {{ min_usable_rows }}

),

stale as (

    select
        states.symbol_id,
        states.ticker,
        states.timeframe,
        'stale' as reason,
        concat(
            'its newest bar, of ',
            states.last_session_date,
            ', is ',
            calendar_ends.session_number - states.last_session_number,
            ' sessions older than the newest of its calendar'
        ) as details,
        -- A training as of an earlier day judges for itself.
        calendar_ends.closed_at as fault_at

    from states

    inner join calendar_ends
        on states.calendar = calendar_ends.calendar

    where
        calendar_ends.session_number - states.last_session_number
        > states.stale_after_sessions

),

-- Left out of the build as a hole: see `is_possible_bar`.
impossible_bars as (

    select
        records.symbol_id,
        records.timeframe,
        records.closed_at,
        records.low,
        records.high,
        records.volume,
        {{ utc_date('records.closed_at') }} as closed_date

    from {{ ref('stg_market__bar_records') }} as records

    left join {{ ref('stg_market__bar_records') }} as later_records
        on
            records.symbol_id = later_records.symbol_id
            and records.timeframe = later_records.timeframe
            and records.opened_at = later_records.opened_at
            and records.batch_id < later_records.batch_id

    where
        not {{ is_possible_bar('records') }}
        and later_records.batch_id is null

),

impossible_value as (

    select
        states.symbol_id,
        states.ticker,
        states.timeframe,
        'impossible_value' as reason,
        concat(
            count(*),
            ' bars with a price or volume that cannot be, the first closed on ',
            min(impossible_bars.closed_date)
        ) as details,
        min(impossible_bars.closed_at) as fault_at

    from impossible_bars

    inner join states
        on
            impossible_bars.symbol_id = states.symbol_id
            and impossible_bars.timeframe = states.timeframe

    left join accepted
        on
            impossible_bars.symbol_id = accepted.symbol_id
            and impossible_bars.closed_date = accepted.session_date
            and accepted.kind = 'impossible_value'

    where accepted.symbol_id is null

    group by states.symbol_id, states.ticker, states.timeframe

),

adjusted as (

    select
        symbol_id,
        effective_at,
        sum(log_price_factor) over (
            partition by symbol_id order by effective_at asc
        ) as log_price_factor,
        sum(log_split_factor) over (
            partition by symbol_id order by effective_at asc
        ) as log_split_factor

    from {{ ref('int_adjustments_summed_by_time') }}

),

impossible_adjustment as (

    select
        states.symbol_id,
        states.ticker,
        states.timeframe,
        'impossible_adjustment' as reason,
        concat(
            'its splits and dividends multiply to a factor beyond exp(',
            {{ largest_log_factor() }},
            ') from ',
            min({{ utc_date('adjusted.effective_at') }}),
            ' on'
        ) as details,
        min(adjusted.effective_at) as fault_at

    from adjusted

    inner join states
        on adjusted.symbol_id = states.symbol_id

    where
        abs(adjusted.log_price_factor) > {{ largest_log_factor() }}
        or abs(adjusted.log_split_factor) > {{ largest_log_factor() }}

    group by states.symbol_id, states.ticker, states.timeframe

),

suspected_split as (

    select
        states.symbol_id,
        states.ticker,
        states.timeframe,
        'suspected_split' as reason,
        concat(
            count(*),
            ' jumps that look like a split or splits that the prices deny, ',
            'the first in the session of ',
            min(suspected.session_date),
            ' (',
            min(suspected.kind),
            '); monitoring.suspected_splits has the remedies'
        ) as details,
        min(suspected.opened_at) as fault_at

    from {{ ref('suspected_splits') }} as suspected

    inner join states
        on
            suspected.symbol_id = states.symbol_id
            and suspected.timeframe = states.timeframe

    left join accepted
        on
            suspected.symbol_id = accepted.symbol_id
            and suspected.session_date = accepted.session_date
            and accepted.kind = 'suspected_split'

    where accepted.symbol_id is null

    group by states.symbol_id, states.ticker, states.timeframe

),

findings as (

    select * from too_few_rows

    union all

    select * from stale

    union all

    select * from impossible_value

    union all

    select * from impossible_adjustment

    union all

    select * from suspected_split

)

select * from findings
