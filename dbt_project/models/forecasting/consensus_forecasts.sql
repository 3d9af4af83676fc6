{%- set levels = [50, 80, 95] -%}
{%- set classes = ['bearish', 'neutral', 'bullish'] -%}
{%- set prices = [
    'price_target', 'lower_50', 'upper_50', 'lower_80', 'upper_80', 'lower_95',
    'upper_95',
] -%}

with

forecasts as (

    select * from {{ ref('int_forecasts_weighed_to_consensus') }}

),

-- The market's clock: how far bars of the calendar reach, whoever's they are.
calendar_ends as (

    select
        calendar,
        max(last_closed_at) as closed_at

    from {{ ref('int_series_looked_up_to_states') }}

    group by calendar

),

rules as (

    select direction_ratio from {{ ref('consensus_rules') }}

),

-- Prices are averaged as logs, on the basis of the leading forecast's close. A
-- row whose weight is 0 is left out and only named.
pooled as (

    select
        symbol_id,
        ticker,
        horizon,
        max(calendar) as calendar,
        max(closed_at) as closed_at,
        max(leading_target_at) as target_at,
        max(leading_reference_close) as reference_close,
        {% for class in classes -%}
            sum(
                case
                    when direction = '{{ class | upper }}' then weight_share
                    else 0
                end
            ) as share_{{ class }},
            sum(weight_share * probability_{{ class }})
                as probability_{{ class }},
            sum(weight_share * climatology_{{ class }})
                as climatology_{{ class }},
        {% endfor -%}
        {% for price in prices -%}
            max(leading_reference_close) * exp(sum(
                weight_share * ln(
                    {{ price }} * adjustment
                    / (leading_reference_close * leading_adjustment)
                )
            )) as {{ price }},
        {% endfor -%}
        avg(case when weight > 0 then handoff end) as mean_handoff,
        cast(count(case when weight > 0 then 1 end) as integer)
            as n_timeframes,
        {{ joined_text(
            'case when weight > 0 then timeframe end', 'sort_order'
        ) }} as timeframes,
        '{' || {{ joined_text(
            "case when weight > 0 then '\"' || timeframe || '\": ' "
            ~ "|| cast(cast(weight_share as decimal(7, 6)) as text) end",
            'sort_order'
        ) }} || '}' as weights,
        {{ joined_text(
            'case when weight = 0 then timeframe end', 'sort_order'
        ) }} as timeframes_left_out

    from forecasts

    where weight_share is not null

    group by symbol_id, ticker, horizon

),

directed as (

    select
        pooled.*,
        coalesce(
            pooled.target_at <= calendar_ends.closed_at, false
        ) as is_past_target,
        case
            when
                pooled.share_bullish
                > rules.direction_ratio * pooled.share_bearish
                and pooled.share_bullish
                > rules.direction_ratio * pooled.share_neutral
                then 'BULLISH'
            when
                pooled.share_bearish
                > rules.direction_ratio * pooled.share_bullish
                and pooled.share_bearish
                > rules.direction_ratio * pooled.share_neutral
                then 'BEARISH'
            else 'NEUTRAL'
        end as direction

    from pooled

    cross join rules

    left join calendar_ends
        on pooled.calendar = calendar_ends.calendar

),

-- The mean of nested bands is nested. A target outside its own band, as the
-- ledger allows, may leave the mean band too: it is widened to hold it.
agreed as (

    select
        symbol_id,
        ticker,
        horizon,
        closed_at,
        target_at,
        is_past_target,
        direction,
        case direction
            {% for class in classes -%}
                when '{{ class | upper }}'
                    then
                        greatest(
                            probability_{{ class }} - climatology_{{ class }},
                            0
                        )
            {% endfor -%}
        end as confidence,
        case direction
            {% for class in classes -%}
                when '{{ class | upper }}' then share_{{ class }}
            {% endfor -%}
        end as agreement,
        probability_bearish,
        probability_neutral,
        probability_bullish,
        reference_close,
        price_target,
        {% for level in levels -%}
            least(lower_{{ level }}, price_target) as lower_{{ level }},
            greatest(upper_{{ level }}, price_target) as upper_{{ level }},
        {% endfor -%}
        mean_handoff,
        n_timeframes,
        n_timeframes = 1 as is_single_timeframe,
        timeframes,
        weights,
        timeframes_left_out

    from directed

)

select * from agreed
