{%- set features = feature_definitions() | map(attribute=0) | list -%}
{%- set horizon_features = horizon_feature_definitions() -%}

with

cuts as (

    select
        cut_id,
        calendar,
        timeframe,
        as_of,
        window_starts_at,
        fit_labels_end_before,
        validation_starts_at

    from {{ ref('stg_ml__training_cuts') }}

),

labels as (

    select
        symbol_id,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        bar_number,
        closed_at,
        label,
        label_return,
        expected_volatility,
        label_threshold,
        label_end_bar_number,
        label_end_at,
    {% for feature, _, _, _, formula in horizon_features %}
        {{ formula }} as {{ feature }}{{ ',' if not loop.last }}
    {% endfor %}

    from {{ ref('labels') }}

    where label is not null

),

feature_rows as (

    select
        symbol_id,
        ticker,
        timeframe,
        bar_number,
        session_date,
        {{ features | join(',\n        ') }}

    from {{ ref('feature_rows') }}

    where is_usable

),

-- One cut in calendar time for all series of a timeframe. A label that had not
-- ended by the as-of time is not there at all.
examples as (

    select
        cuts.cut_id,
        cuts.as_of,
        {{ split_part() }} as split_part,
        labels.symbol_id,
        feature_rows.ticker,
        labels.calendar,
        labels.timeframe,
        labels.horizon,
        labels.horizon_bars,
        labels.bar_number,
        feature_rows.session_date,
        labels.closed_at,
        labels.label,
        labels.label_return,
        labels.expected_volatility,
        labels.label_threshold,
        labels.label_end_bar_number,
        labels.label_end_at,
        feature_rows.{{ features | join(',\n        feature_rows.') }},
    {% for feature, _, _, _, _ in horizon_features %}
        labels.{{ feature }}{{ ',' if not loop.last }}
    {% endfor %}

    from cuts

    inner join labels
        on
            cuts.calendar = labels.calendar
            and cuts.timeframe = labels.timeframe
            and cuts.window_starts_at <= labels.closed_at
            and cuts.as_of >= labels.label_end_at

    inner join feature_rows
        on
            labels.symbol_id = feature_rows.symbol_id
            and labels.timeframe = feature_rows.timeframe
            and labels.bar_number = feature_rows.bar_number

)

select * from examples
