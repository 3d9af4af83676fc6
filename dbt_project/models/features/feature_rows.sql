-- One statement in one session, which keeps one processor busy while the labels
-- keep another: dealing the symbols to two sessions gains nothing beside them
-- and costs a copy of every row.
{{ config(sql_header=without_merge_joins()) }}
{%- set longest_bars = var('longest_lookback_bars') | int(60) -%}
{%- set features = feature_definitions() | map(attribute=0) | list -%}
{%- set higher = higher_features() -%}
{%- set cut = ref('int_bars_cut_into_blocks') -%}
{%- set states = [] -%}
{%- for feature, neutral in higher -%}
    {%- do states.append(
        feature | replace('higher_', '') ~ ' as ' ~ feature
    ) -%}
{%- endfor %}
with

due as (

    select
        series_number,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        higher_timeframe,
        higher_series_number,
        first_bar_number,
        from_bar_number

    from {{ ref('int_series_due') }}

),

lowest as (

    {{ scaled_features(cut, 'not is_read_by_finer') }}

),

scaled as (

    select * from lowest

    union all

    select * from {{ ref('int_higher_states') }}

),

higher as (

    select
        series_number,
        bar_number,
        closed_at,
        coalesce(
            is_higher_window_whole and session_variance is not null, false
        ) as is_warm,
        max_recorded_at,
        {{ states | join(',\n        ') }}

    from {{ ref('int_higher_states') }}

),

named as (

    select
        scaled.*,
        due.symbol_id,
        due.ticker,
        due.calendar,
        due.timeframe,
        due.higher_timeframe,
        due.higher_series_number,
        due.first_bar_number

    from scaled

    inner join due
        on
            scaled.series_number = due.series_number
            and scaled.bar_number >= due.from_bar_number

),

-- The grid names the last bar of the next higher timeframe that had closed, so
-- the join is on equality and cannot look ahead. The highest timeframe has
-- none: its own state stands in as zero, the same for every row. Twenty bars of
-- the higher one are a long time for a series that begins, so what has not
-- warmed up stands at its neutral value and the row says so.
joined as (

    select
        named.*,
        higher.closed_at as higher_bar_closed_at,
        case
            when named.higher_timeframe is not null
                then coalesce(higher.is_warm, false)
        end as higher_is_warm,
        {% for feature, neutral in higher -%}
            case
                when named.higher_timeframe is null then 0
                when higher.is_warm then higher.{{ feature }}
                else {{ neutral }}
            end as {{ feature }},
        {% endfor -%}
        greatest(
            named.max_recorded_at,
            coalesce(higher.max_recorded_at, named.max_recorded_at)
        ) as last_recorded_at

    from named

    left join higher
        on
            named.higher_series_number = higher.series_number
            and named.higher_bar_number = higher.bar_number

    {{ computed_once() }}

),

judged as (

    select
        *,
        case
            when bar_number < first_bar_number + {{ longest_bars }}
                then 'warm_up'
            -- Null where most of the window's block is a long hole.
            when not coalesce(is_longest_window_whole, false)
                then 'missing_bar'
            when has_volume and adjusted_volume = 0 then 'no_volume'
            when session_variance is null then 'session_profile_warm_up'
            when volatility_1 is null then 'flat_window'
            when (
                {{ features | join(' + ') }}
            ) is null then 'flat_window'
        end as unusable_reason

    from joined

    {{ computed_once() }}

),

-- A row is wholly there or not at all, so that nothing half-made is read.
final as (

    select
        symbol_id,
        ticker,
        calendar,
        timeframe,
        bar_number,
        session_date,
        closed_at,
        unusable_reason is null as is_usable,
        cast(unusable_reason as text) as unusable_reason,
        closed_at as last_bar_closed_at,
        higher_bar_closed_at,
        last_recorded_at as max_recorded_at,
        batch_id,
        has_volume,
        higher_is_warm,
        case
            when unusable_reason is null then cast(n_carried_bars as integer)
        end as n_carried_bars,
        reference_close,
        {{ kept_where('unusable_reason is null', features) }}

    from judged

)

select * from final
