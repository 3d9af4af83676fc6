-- One look per series; nothing here passes over all bars.
{%- set longest_bars = var('longest_lookback_bars') %}

with

states as (

    select * from {{ ref('int_series_looked_up_to_states') }}

),

calendar_ends as (

    select
        calendar,
        max(last_session_number) as session_number

    from {{ ref('int_series_looked_up_to_states') }}

    group by calendar

),

-- A bar that others have is due, whatever the clock says.
timeframe_ends as (

    select
        calendar,
        timeframe,
        max(last_bar_number) as bar_number

    from {{ ref('int_series_looked_up_to_states') }}

    where
        delisted_at is null
        and deactivated_at is null

    group by calendar, timeframe

),

quarantines as (

    select
        quarantine_id,
        symbol_id,
        timeframe,
        reason,
        details,
        fault_at,
        quarantined_at

    from {{ ref('stg_ml__quarantined_series') }}

    where released_at is null

),

-- Of several the one that stands longest.
first_quarantines as (

    select
        symbol_id,
        timeframe,
        min(quarantine_id) as quarantine_id,
        count(*) as n_reasons

    from quarantines

    group by symbol_id, timeframe

),

live as (

    select
        symbol_id,
        timeframe,
        count(distinct version_id) as n_versions

    from {{ ref('stg_ml__deployment_spans') }}

    where superseded_at is null

    group by symbol_id, timeframe

),

forecasts as (

    select
        symbol_id,
        timeframe,
        max(closed_at) as closed_at

    from {{ ref('int_forecasts_narrowed_to_latest') }}

    group by symbol_id, timeframe

),

splits as (

    select
        symbol_id,
        timeframe,
        count(*) as n_splits

    from {{ ref('suspected_splits') }}

    group by symbol_id, timeframe

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        session_date,
        closed_at

    from {{ ref('bar_grid') }}

),

-- The first bar behind the last hole that is too long to be carried across, or
-- of all: once the longest window lies behind it, it is whole again.
measured as (

    select
        states.*,
        case
            when states.unusable_reason in ('warm_up', 'missing_bar')
                then
                    (
                        select max(bars.bar_number)

                        from {{ ref('bars') }} as bars

                        where
                            states.symbol_id = bars.symbol_id
                            and states.timeframe = bars.timeframe
                            and not exists (
                                select 1

                                from {{ ref('bars') }} as earlier

                                where
                                    bars.symbol_id = earlier.symbol_id
                                    and bars.timeframe = earlier.timeframe
                                    and earlier.bar_number
                                    between bars.bar_number
                                    - states.max_hole_bars
                                    - 1
                                    and bars.bar_number - 1
                            )
                    ) + {{ longest_bars }}
        end as recovers_bar_number

    from states

),

joined as (

    select
        measured.*,
        calendar_ends.session_number
        - measured.last_session_number as sessions_behind,
        quarantines.quarantine_id is not null as is_quarantined,
        quarantines.reason as quarantine_reason,
        quarantines.details as quarantine_details,
        quarantines.quarantined_at,
        quarantines.fault_at,
        coalesce(live.n_versions, 0) > 0 as has_live_version,
        forecasts.closed_at as last_forecast_closed_at,
        coalesce(splits.n_splits, 0) as n_suspected_splits,
        unusable_from.closed_at as unusable_from_closed_at,
        lacking_from.closed_at as lacking_from_closed_at,
        case
            when quarantines.reason = 'too_few_rows' and measured.is_usable
                then
                    measured.last_bar_number
                    + {{ var('min_usable_rows') }}
                    - measured.n_usable_rows
            -- Too many short holes recover when they leave the window, one by
            -- one: that day is not known.
            when
                quarantines.reason is null
                and measured.recovers_bar_number > measured.last_bar_number
                then measured.recovers_bar_number
        end as usable_again_bar_number

    from measured

    inner join calendar_ends
        on measured.calendar = calendar_ends.calendar

    left join first_quarantines
        on
            measured.symbol_id = first_quarantines.symbol_id
            and measured.timeframe = first_quarantines.timeframe

    left join quarantines
        on first_quarantines.quarantine_id = quarantines.quarantine_id

    left join live
        on
            measured.symbol_id = live.symbol_id
            and measured.timeframe = live.timeframe

    left join forecasts
        on
            measured.symbol_id = forecasts.symbol_id
            and measured.timeframe = forecasts.timeframe

    left join splits
        on
            measured.symbol_id = splits.symbol_id
            and measured.timeframe = splits.timeframe

    left join grid as unusable_from
        on
            measured.calendar = unusable_from.calendar
            and measured.timeframe = unusable_from.timeframe
            and not measured.is_usable
            and coalesce(
                measured.last_usable_bar_number + 1, measured.first_bar_number
            )
            = unusable_from.bar_number

    left join timeframe_ends
        on
            measured.calendar = timeframe_ends.calendar
            and measured.timeframe = timeframe_ends.timeframe

    left join grid as lacking_from
        on
            measured.calendar = lacking_from.calendar
            and measured.timeframe = lacking_from.timeframe
            and measured.last_bar_number < timeframe_ends.bar_number
            and measured.last_bar_number + 1 = lacking_from.bar_number

),

judged as (

    select
        *,
        case
            when deactivated_at is not null then 'deactivated'
            when delisted_at is not null then 'delisted'
            when is_quarantined then 'quarantined'
            when not is_usable then 'unusable'
            when not has_live_version then 'no_version'
            when
                last_forecast_closed_at is null
                or last_forecast_closed_at < last_closed_at
                then 'not_forecast'
            when lacking_from_closed_at is not null then 'behind'
            else 'forecast'
        end as status

    from joined

),

health as (

    select
        judged.symbol_id,
        judged.ticker,
        judged.calendar,
        judged.timeframe,
        judged.sort_order as timeframe_order,
        judged.status,
        judged.status not in ('deactivated', 'delisted') as is_expected,
        case judged.status
            when 'quarantined' then judged.quarantine_reason
            when 'unusable'
                then coalesce(judged.unusable_reason, 'no_features')
        end as reason,
        case judged.status
            when 'quarantined' then judged.quarantine_details
        end as details,
        case judged.status
            when 'deactivated' then judged.deactivated_at
            when 'delisted' then judged.delisted_at
            when 'quarantined' then judged.quarantined_at
            when 'unusable' then judged.unusable_from_closed_at
            when 'behind' then judged.lacking_from_closed_at
        end as since,
        recovery.session_date as recovers_on,
        judged.last_session_date as newest_session_date,
        judged.last_closed_at as newest_closed_at,
        judged.last_close as newest_close,
        judged.sessions_behind,
        judged.is_usable,
        judged.unusable_reason,
        judged.is_quarantined,
        judged.quarantine_reason,
        judged.quarantined_at,
        judged.has_live_version,
        judged.last_forecast_closed_at,
        judged.n_bars,
        judged.n_missing_bars,
        judged.n_missing_bars > 0 as has_gaps,
        judged.n_suspected_splits

    from judged

    left join grid as recovery
        on
            judged.calendar = recovery.calendar
            and judged.timeframe = recovery.timeframe
            and judged.usable_again_bar_number = recovery.bar_number

)

select * from health
