{%- set of_longer = [
    'timeframe', 'target_at', 'target_bar_minutes', 'probability_bearish',
    'probability_neutral', 'probability_bullish', 'price_target',
] -%}

with

forecasts as (

    select * from {{ ref('int_forecasts_narrowed_to_latest') }}

),

timeframes as (

    select
        timeframe,
        sort_order

    from {{ ref('timeframes') }}

),

horizons as (

    select
        calendar,
        timeframe,
        horizon,
        is_base

    from {{ ref('int_horizons_completed_with_defaults') }}

),

bars as (

    select
        symbol_id,
        timeframe,
        bar_number,
        close,
        adjusted_close

    from {{ ref('bars') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        opened_at,
        closed_at

    from {{ ref('bar_grid') }}

),

rules as (

    select
        max_target_gap_share,
        class_share_of_handoff

    from {{ ref('consensus_rules') }}

),

-- Forecasts are in prices as traded at their own close. A split since then
-- moves the shorter timeframe's and not yet the longer one's: times the
-- adjustment of their own bar, all are on today's basis.
placed as (

    select
        forecasts.*,
        timeframes.sort_order,
        coalesce(horizons.is_base, false) as is_base_horizon,
        {{ minutes_between('grid.opened_at', 'grid.closed_at') }}
            as target_bar_minutes,
        coalesce(bars.adjusted_close / bars.close, 1) as adjustment,
        -timeframes.sort_order as place_from_longest

    from forecasts

    inner join timeframes
        on forecasts.timeframe = timeframes.timeframe

    left join horizons
        on
            forecasts.calendar = horizons.calendar
            and forecasts.timeframe = horizons.timeframe
            and forecasts.horizon = horizons.horizon

    left join grid
        on
            forecasts.calendar = grid.calendar
            and forecasts.timeframe = grid.timeframe
            and forecasts.target_bar_number = grid.bar_number

    left join bars
        on
            forecasts.symbol_id = bars.symbol_id
            and forecasts.timeframe = bars.timeframe
            and forecasts.bar_number = bars.bar_number

),

-- From the longest timeframe to the shortest, so the row before is that of the
-- next longer one.
paired as (

    select
        *,
        {% for column in of_longer -%}
            lag({{ column }}) over longer as longer_{{ column }},
        {% endfor -%}
        lag(adjustment) over longer as longer_adjustment

    from placed

    window longer as (
        partition by symbol_id, ticker, horizon
        order by place_from_longest asc
    )

),

gauged as (

    select
        *,
        abs({{ minutes_between('target_at', 'longer_target_at') }})
            as target_gap_minutes,
        1 - 0.5 * (
            abs(probability_bearish - longer_probability_bearish)
            + abs(probability_neutral - longer_probability_neutral)
            + abs(probability_bullish - longer_probability_bullish)
        ) as class_agreement,
        -- Kept above where an exponential underflows, which is an error.
        case
            when longer_timeframe is not null
                then
                    exp(-least(
                        abs(ln(
                            price_target * adjustment
                            / (longer_price_target * longer_adjustment)
                        ))
                        / greatest(
                            expected_volatility, {{ var('volatility_floor') }}
                        ),
                        700
                    ))
        end as target_agreement

    from paired

),

-- Two forecasts of one horizon made at different times are about different
-- bars, and may differ as much as these.
handed as (

    select
        gauged.*,
        rules.max_target_gap_share,
        case
            when gauged.longer_timeframe is null then 'longest'
            when
                gauged.target_gap_minutes
                <= rules.max_target_gap_share
                * gauged.longer_target_bar_minutes
                then 'handed_over'
            else 'other_target'
        end as handoff_status,
        case
            when
                gauged.target_gap_minutes
                <= rules.max_target_gap_share
                * gauged.longer_target_bar_minutes
                then
                    rules.class_share_of_handoff * gauged.class_agreement
                    + (1 - rules.class_share_of_handoff)
                    * gauged.target_agreement
        end as handoff

    from gauged

    cross join rules

)

select * from handed
