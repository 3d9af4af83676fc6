{%- set features = feature_definitions() | map(attribute=0) | list -%}

with

computed as (

    select * from {{ ref('int_bars_scaled_to_features') }}

),

higher as (

    select
        symbol_id,
        timeframe,
        bar_number,
        closed_at,
        is_volatility_window_whole,
        max_recorded_at,
        return_1,
        return_5,
        volatility_ratio_5_20,
        range_place_20

    from computed

    where
        timeframe in (
            select timeframes.higher_timeframe
            from {{ ref('timeframes') }} as timeframes
        )

),

-- The grid names the last bar of the next higher timeframe that had closed, so
-- the join is on equality and cannot look ahead. The highest timeframe has
-- none: its own state stands in as zero, the same for every row.
joined as (

    select
        computed.*,
        higher.closed_at as higher_bar_closed_at,
        case
            when computed.higher_timeframe is null then true
            else coalesce(higher.is_volatility_window_whole, false)
        end as is_higher_window_whole,
        case
            when computed.higher_timeframe is null then 0 else higher.return_1
        end as higher_return_1,
        case
            when computed.higher_timeframe is null then 0 else higher.return_5
        end as higher_return_5,
        case
            when computed.higher_timeframe is null then 0
            else higher.volatility_ratio_5_20
        end as higher_volatility_ratio_5_20,
        case
            when computed.higher_timeframe is null then 0
            else higher.range_place_20
        end as higher_range_place_20,
        greatest(
            computed.max_recorded_at,
            coalesce(higher.max_recorded_at, computed.max_recorded_at)
        ) as last_recorded_at

    from computed

    left join higher
        on
            computed.symbol_id = higher.symbol_id
            and computed.higher_timeframe = higher.timeframe
            and computed.higher_bar_number = higher.bar_number

),

judged as (

    select
        *,
        case
            when is_longest_window_whole is null then 'warm_up'
            when not is_longest_window_whole then 'missing_bar'
            when adjusted_volume = 0 then 'no_volume'
            when volatility is null then 'flat_window'
            when not is_higher_window_whole then 'higher_timeframe_warm_up'
            when (
                {{ features | join(' + ') }}
            ) is null then 'flat_window'
        end as unusable_reason

    from joined

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
        coalesce(unusable_reason is null, false) as is_usable,
        cast(unusable_reason as text) as unusable_reason,
        closed_at as last_bar_closed_at,
        higher_bar_closed_at,
        last_recorded_at as max_recorded_at,
        batch_id,
        reference_close,
        {{ kept_where('unusable_reason is null', features) }}

    from judged

    where bar_number >= from_bar_number

)

select * from final
