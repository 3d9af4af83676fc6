{%- set dimensions = {
    'horizon': 'horizon',
    'place in session': 'place_in_session',
    'turbulence': 'turbulence',
    'data': 'data',
    'deployment': 'version_id',
} %}

with

outcomes as (

    select
        forecast_id,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        closed_at,
        settled_at,
        version_id,
        climatology_log_loss - log_loss as gain,
        expected_volatility

    from {{ ref('int_outcomes_narrowed_to_one_per_bar') }}

),

rules as (

    select * from {{ ref('drift_explanation') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        closed_at,
        place_in_session,
        session_bars

    from {{ ref('bar_grid') }}

),

features as (

    select
        symbol_id,
        timeframe,
        bar_number,
        n_carried_bars

    from {{ ref('feature_rows') }}

),

-- Up to the series' own last settlement: the same outcomes are explained alike
-- on any day.
ended as (

    select
        *,
        max(settled_at) over (
            partition by symbol_id, ticker, timeframe
        ) as last_settled_at

    from outcomes

),

parted as (

    select
        ended.*,
        ended.settled_at
        > ended.last_settled_at - rules.recent_days * interval '1 day'
            as is_recent

    from ended

    inner join rules
        on ended.timeframe = rules.timeframe

    where
        ended.settled_at
        > ended.last_settled_at
        - (rules.recent_days + rules.reference_days) * interval '1 day'

),

-- Turbulence against what the series itself was used to.
described as (

    select
        parted.forecast_id,
        parted.symbol_id,
        parted.ticker,
        parted.timeframe,
        parted.is_recent,
        parted.gain,
        parted.horizon,
        parted.version_id,
        case
            when grid.session_bars = 1 then 'whole session'
            when grid.place_in_session = 1 then 'first bar'
            when grid.place_in_session = grid.session_bars then 'last bar'
            else 'in between'
        end as place_in_session,
        case
            when features.n_carried_bars > 0 then 'holes in the last bars'
            else 'whole'
        end as data,
        parted.expected_volatility / avg(
            case when not parted.is_recent then parted.expected_volatility end
        ) over (
            partition by
                parted.symbol_id,
                parted.ticker,
                parted.timeframe,
                parted.horizon
        ) as relative_volatility

    from parted

    inner join grid
        on
            parted.calendar = grid.calendar
            and parted.timeframe = grid.timeframe
            and parted.closed_at = grid.closed_at

    left join features
        on
            parted.symbol_id = features.symbol_id
            and parted.timeframe = features.timeframe
            and grid.bar_number = features.bar_number

),

graded as (

    select
        *,
        case
            when relative_volatility > 1.25 then 'turbulent'
            when relative_volatility < 0.8 then 'calm'
            when relative_volatility is null then 'unknown'
            else 'ordinary'
        end as turbulence

    from described

),

listed as (

    select
        graded.symbol_id,
        graded.ticker,
        graded.timeframe,
        graded.is_recent,
        graded.gain,
        parts.dimension,
        parts.part

    from graded

    cross join lateral (  -- noqa: ST05
        {% for dimension, column in dimensions.items() -%}
            select
                '{{ dimension }}' as dimension,
                graded.{{ column }} as part
            {{ 'union all' if not loop.last }}
        {% endfor %}
    ) as parts

),

averaged as (

    select
        symbol_id,
        ticker,
        timeframe,
        dimension,
        part,
        count(case when is_recent then 1 end) as n_recent,
        count(case when not is_recent then 1 end) as n_reference,
        avg(case when is_recent then gain end) as recent_gain,
        avg(case when not is_recent then gain end) as reference_gain,
        sum(case when is_recent then gain end) as sum_of_recent,
        sum(case when not is_recent then gain end) as sum_of_reference

    from listed

    group by symbol_id, ticker, timeframe, dimension, part

),

totalled as (

    select
        *,
        sum(n_recent) over (
            partition by symbol_id, ticker, timeframe, dimension
        ) as all_recent,
        {{ guarded_ratio(
            'sum(sum_of_reference) over ('
            ~ 'partition by symbol_id, ticker, timeframe, dimension)',
            'sum(n_reference) over ('
            ~ 'partition by symbol_id, ticker, timeframe, dimension)',
        ) }} as usual_gain

    from averaged

),

-- Against what the series usually gains, so that parts add up to its change.
attributed as (

    select
        symbol_id,
        ticker,
        timeframe,
        dimension,
        part,
        cast(n_recent as integer) as n_recent,
        cast(n_reference as integer) as n_reference,
        recent_gain,
        reference_gain,
        usual_gain,
        cast(
            coalesce(sum_of_recent - n_recent * usual_gain, 0)
            / nullif(all_recent, 0) as double precision
        ) as contribution

    from totalled

)

select * from attributed
