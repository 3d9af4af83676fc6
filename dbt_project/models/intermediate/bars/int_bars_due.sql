-- The work list of `bars`: symbols with a new record of a bar or adjustment,
-- and the start of the week in which the first of them takes effect, since a
-- week's bar is made from all its days.
{%- do stop_when_loaded_over_rolled_up(source('market', 'bars')) -%}
{#- Here already, so that a build that stops has made no bar by them. -#}
{%- do stop_when_label_seeds_changed(
    ref('int_label_seeds_built'),
    ref('int_horizons_completed_with_defaults'),
    ref('label_rules'),
    ref('timeframes'),
    ref('forecast_scales'),
) -%}
{%- do stop_when_timeframe_is_back(
    ref('int_timeframes_built'),
    ref('int_series_loaded'),
    ref('int_series_rolled_up'),
) -%}
{%- set watermark = watermark('bars') %}

with

-- Straight from the source: the newest record of every bar ever loaded is more
-- than is asked for here.
bars as (

    select
        symbol_id,
        opened_at as effective_at

    from {{ source('market', 'bars') }}

    where
        batch_id > {{ watermark }}
        and {{ is_seen('batch_id') }}

),

adjustments as (

    select
        symbol_id,
        effective_at

    from {{ source('market', 'adjustments') }}

    where
        batch_id > {{ watermark }}
        and {{ is_seen('batch_id') }}

),

symbols as (

    select
        symbol_id,
        calendar

    from {{ ref('stg_market__symbols') }}

),

sessions as (

    select
        calendar,
        week_number,
        opened_at

    from {{ ref('int_sessions_numbered_by_week') }}

),

weeks as (

    select
        calendar,
        week_number,
        min(opened_at) as opened_at

    from sessions

    group by calendar, week_number

),

changes as (

    select * from bars

    union all

    select * from adjustments

),

first_changes as (

    select
        changes.symbol_id,
        symbols.calendar,
        min(changes.effective_at) as effective_at

    from changes

    inner join symbols
        on changes.symbol_id = symbols.symbol_id

    group by changes.symbol_id, symbols.calendar

),

due as (

    select
        first_changes.symbol_id,
        coalesce(
            max(weeks.opened_at), min(first_changes.effective_at)
        ) as from_opened_at

    from first_changes

    left join weeks
        on
            first_changes.calendar = weeks.calendar
            and first_changes.effective_at >= weeks.opened_at

    group by first_changes.symbol_id

)

select * from due
