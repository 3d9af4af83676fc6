with

outcomes as (

    select * from {{ ref('int_outcomes_joined_to_baselines') }}

),

thresholds as (

    select * from {{ ref('drift_thresholds') }}

),

windows as (

    select
        timeframe,
        trailing_predictions

    from {{ ref('drift_windows') }}

),

-- In the order of `drift_status`, so that both look at the same predictions.
running as (

    select
        outcomes.symbol_id,
        outcomes.ticker,
        outcomes.timeframe,
        outcomes.settled_date,
        outcomes.settled_at,
        {% set sums = {
            'place': 'cast(1 as bigint)',
            'n_hits': 'outcomes.hit',
            'sum_of_baselines': 'outcomes.baseline_accuracy',
            'n_baselines': 'case when outcomes.baseline_accuracy is null '
                ~ 'then 0 else 1 end',
            'sum_of_bars': 'cast(outcomes.horizon_bars as double precision)',
        } -%}
        {% for name, term in sums.items() -%}
            sum({{ term }}) over (
                partition by
                    outcomes.symbol_id, outcomes.ticker, outcomes.timeframe
                order by
                    outcomes.settled_at asc,
                    outcomes.horizon_bars asc,
                    outcomes.closed_at asc
                rows between unbounded preceding and current row
            ) as {{ name }},
        {% endfor -%}
        windows.trailing_predictions

    from outcomes

    left join windows
        on outcomes.timeframe = windows.timeframe

),

bounded as (

    select
        *,
        min(place) over (
            partition by symbol_id, ticker, timeframe, settled_date
        ) as first_place,
        max(place) over (
            partition by symbol_id, ticker, timeframe, settled_date
        ) as last_place

    from running

),

measured as (

    select
        *,
        cast(
            coalesce(trailing_predictions, place - first_place + 1) as integer
        ) as n_judged

    from bounded

),

-- A difference of two running sums, however long the window. Every prediction
-- weighs the same, so the baseline is weighted over horizons and versions as
-- the predictions are.
windowed as (

    select
        symbol_id,
        ticker,
        timeframe,
        settled_date,
        settled_at as last_settled_at,
        place,
        last_place,
        last_place - first_place + 1 as n_settled,
        {% for column in sums -%}
            {{ column }} - coalesce(
                lag({{ column }}, n_judged) over (
                    partition by symbol_id, ticker, timeframe
                    order by place asc
                ),
                0
            ) as {{ 'n_predictions' if column == 'place' else column }},
        {% endfor -%}
        case when trailing_predictions is null then 'day' else 'trailing' end
            as judged_window

    from measured

),

averaged as (

    select
        symbol_id,
        ticker,
        timeframe,
        settled_date,
        judged_window,
        cast(n_settled as integer) as n_settled,
        cast(n_predictions as integer) as n_predictions,
        last_settled_at,
        n_hits / n_predictions as accuracy,
        {{ guarded_ratio('sum_of_baselines', 'n_baselines') }}
            as baseline_accuracy,
        greatest(n_predictions * n_predictions / sum_of_bars, 1) as n_effective

    from windowed

    where place = last_place

),

compared as (

    select
        *,
        {{ drift_margin('accuracy', 'baseline_accuracy') }} as drift_margin,
        {{ wilson_end('accuracy', 'n_effective', 'lower') }} as accuracy_lower,
        {{ wilson_end('accuracy', 'n_effective', 'upper') }} as accuracy_upper

    from averaged

),

judged as (

    select
        compared.*,
        md5(
            cast(compared.symbol_id as text)
            || '|' || compared.timeframe
            || '|' || cast(compared.settled_date as text)
        ) as id,
        {{ drift_status('compared.drift_margin', 'compared.n_predictions') }}
            as status

    from compared

    cross join thresholds

),

flagged as (

    select
        *,
        {{ drift_detected('status', 'accuracy_upper', 'baseline_accuracy') }}
            as drift_detected

    from judged

),

-- `date` is the name people ask for.
reported as (

    select
        id,
        symbol_id,
        ticker,
        timeframe,
        settled_date as date,  -- noqa: RF04
        judged_window,
        accuracy,
        accuracy_lower,
        accuracy_upper,
        n_predictions,
        n_settled,
        n_effective,
        baseline_accuracy,
        drift_margin,
        drift_detected,
        status,
        {{ drift_reading('status', 'drift_detected') }} as reading,
        last_settled_at as created_at

    from flagged

)

select * from reported
