{%- set of_leading = [
    'target_at', 'target_bar_minutes', 'reference_close', 'adjustment',
] -%}

with

forecasts as (

    select * from {{ ref('int_forecasts_handed_to_longer_timeframes') }}

),

weights as (

    select
        timeframe,
        horizon,
        weight

    from {{ ref('consensus_weights') }}

),

rules as (

    select confidence_floor from {{ ref('consensus_rules') }}

),

dated as (

    select
        *,
        max(closed_at) over (
            partition by symbol_id, ticker, horizon
        ) as newest_closed_at

    from forecasts

),

-- The forecast that knows most says what the consensus is about; of several
-- made at one close, that of the longest timeframe.
led as (

    select
        *,
        max(case when closed_at = newest_closed_at then sort_order end) over (
            partition by symbol_id, ticker, horizon
        ) as leading_sort_order

    from dated

),

aimed as (

    select
        *,
        {% for column in of_leading -%}
            max(
                case when sort_order = leading_sort_order then {{ column }} end
            ) over (
                partition by symbol_id, ticker, horizon
            ) as leading_{{ column }},
        {% endfor -%}
        sort_order = leading_sort_order as is_leading

    from led

),

joined as (

    select
        *,
        is_leading
        or abs({{ minutes_between('target_at', 'leading_target_at') }})
        <= max_target_gap_share * case
            when sort_order > leading_sort_order then target_bar_minutes
            else leading_target_bar_minutes
        end as is_joined

    from aimed

),

-- A forecast that hands over to none, or to one about another target, has
-- nothing said against it.
weighed as (

    select
        joined.*,
        case
            when joined.is_joined
                then
                    coalesce(weights.weight, 1)
                    * (joined.confidence + rules.confidence_floor)
                    * coalesce(joined.handoff, 1)
            else 0
        end as weight

    from joined

    cross join rules

    left join weights
        on
            joined.timeframe = weights.timeframe
            and joined.horizon = weights.horizon

),

shared as (

    select
        *,
        {{ guarded_ratio(
            'weight',
            'sum(weight) over (partition by symbol_id, ticker, horizon)'
        ) }} as weight_share

    from weighed

)

select * from shared
