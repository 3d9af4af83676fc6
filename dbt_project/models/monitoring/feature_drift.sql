{%- set features = feature_definitions() | map(attribute=0) | list %}
{#- Values that each bin has anyway, so that an empty one is no infinity. #}
{%- set pseudo_count = 0.5 %}

with

spans as (

    select
        symbol_id,
        timeframe,
        version_id,
        effective_at

    from {{ ref('stg_ml__deployment_spans') }}

    where superseded_at is null

),

versions as (

    select
        version_id,
        members_version_id

    from {{ ref('stg_ml__ensembles') }}

),

trained as (

    select
        version_id,
        cut_id,
        as_of

    from {{ ref('stg_ml__ensembles') }}

),

cuts as (

    select
        cut_id,
        window_starts_at

    from {{ ref('stg_ml__training_cuts') }}

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

rules as (

    select
        recent_bars,
        n_bins

    from {{ ref('feature_drift_rules') }}

),

rows_of_features as (

    select * from {{ ref('feature_rows') }}

),

-- Horizons may be forecast by different versions: the one trained last.
live as (

    select
        spans.symbol_id,
        symbols.ticker,
        spans.timeframe,
        max(trained.as_of) as trained_as_of,
        max(cuts.window_starts_at) as window_starts_at

    from spans

    inner join symbols
        on spans.symbol_id = symbols.symbol_id

    inner join versions
        on spans.version_id = versions.version_id

    inner join trained
        on
            coalesce(versions.members_version_id, versions.version_id)
            = trained.version_id

    inner join cuts
        on trained.cut_id = cuts.cut_id

    group by spans.symbol_id, symbols.ticker, spans.timeframe

),

placed as (

    select
        rows_of_features.*,
        live.trained_as_of,
        rows_of_features.closed_at > live.trained_as_of as is_after_training,
        max(rows_of_features.bar_number) over (
            partition by
                rows_of_features.symbol_id,
                rows_of_features.ticker,
                rows_of_features.timeframe
        ) as last_bar_number

    from live

    inner join rows_of_features
        on
            live.symbol_id = rows_of_features.symbol_id
            and live.ticker = rows_of_features.ticker
            and live.timeframe = rows_of_features.timeframe

    where rows_of_features.closed_at >= live.window_starts_at

),

compared as (

    select placed.*

    from placed

    cross join rules

    where
        not placed.is_after_training
        or placed.bar_number > placed.last_bar_number - rules.recent_bars

),

listed as (

    select
        compared.symbol_id,
        compared.ticker,
        compared.timeframe,
        compared.trained_as_of,
        compared.is_after_training,
        compared.closed_at,
        measured.feature,
        case when compared.is_usable then measured.feature_value end
            as feature_value

    from compared

    cross join lateral (  -- noqa: ST05
        {% for feature in features -%}
            select
                '{{ feature }}' as feature,
                compared.{{ feature }} as feature_value
            {{ 'union all' if not loop.last }}
        {% endfor %}
    ) as measured

),

valued as (

    select
        *,
        feature_value is null as is_missing,
        case
            when not is_after_training and feature_value is not null then 1
        end as is_reference

    from listed

),

-- How many values trained on are not larger, are the same, and are there.
ranked as (

    select
        *,
        count(is_reference) over (
            partition by symbol_id, ticker, timeframe, feature
            order by feature_value asc
        ) as n_not_larger,
        count(is_reference) over (
            partition by symbol_id, ticker, timeframe, feature, feature_value
        ) as n_same,
        count(is_reference) over (
            partition by symbol_id, ticker, timeframe, feature
        ) as n_values

    from valued

),

-- Bins that each hold the same share of the values trained on; equal values are
-- in one bin.
binned as (

    select
        ranked.symbol_id,
        ranked.ticker,
        ranked.timeframe,
        ranked.feature,
        ranked.trained_as_of,
        ranked.is_after_training,
        ranked.is_missing,
        least(
            (ranked.n_not_larger - ranked.n_same) * rules.n_bins
            / nullif(ranked.n_values, 0),
            rules.n_bins - 1
        ) as bin

    from ranked

    cross join rules

),

counted as (

    select
        symbol_id,
        ticker,
        timeframe,
        feature,
        trained_as_of,
        is_missing,
        bin,
        count(case when not is_after_training then 1 end) as n_reference,
        count(case when is_after_training then 1 end) as n_recent

    from binned

    group by
        symbol_id,
        ticker,
        timeframe,
        feature,
        trained_as_of,
        is_missing,
        bin

),

totalled as (

    select
        *,
        sum(case when is_missing then 0 else n_reference end) over parts
            as reference_values,
        sum(case when is_missing then 0 else n_recent end) over parts
            as recent_values,
        sum(n_reference) over parts as reference_rows,
        sum(n_recent) over parts as recent_rows,
        count(case when not is_missing then 1 end) over parts as n_bins

    from counted

    window parts as (
        partition by symbol_id, ticker, timeframe, feature
    )

),

shared as (

    select
        *,
        (n_reference + {{ pseudo_count }})
        / (reference_values + {{ pseudo_count }} * n_bins) as reference_share,
        (n_recent + {{ pseudo_count }})
        / (recent_values + {{ pseudo_count }} * n_bins) as recent_share

    from totalled

),

summed as (

    select
        symbol_id,
        ticker,
        timeframe,
        feature,
        trained_as_of,
        cast(max(reference_values) as integer) as n_reference,
        cast(max(recent_values) as integer) as n_recent,
        sum(
            case
                when not is_missing
                    then
                        (recent_share - reference_share)
                        * ln(recent_share / reference_share)
            end
        ) as stability_index,
        (max(n_bins) - 1) * (
            {{ guarded_ratio('1.0', 'max(reference_values)') }}
            + {{ guarded_ratio('1.0', 'max(recent_values)') }}
        ) as stability_index_by_chance,
        1 - {{ guarded_ratio(
            'cast(max(reference_values) as double precision)',
            'max(reference_rows)',
        ) }} as reference_missing_rate,
        1 - {{ guarded_ratio(
            'cast(max(recent_values) as double precision)', 'max(recent_rows)'
        ) }} as recent_missing_rate

    from shared

    group by symbol_id, ticker, timeframe, feature, trained_as_of

),

ordered as (

    select
        symbol_id,
        ticker,
        timeframe,
        feature,
        trained_as_of,
        n_reference,
        n_recent,
        cast(stability_index as double precision) as stability_index,
        cast(stability_index_by_chance as double precision)
            as stability_index_by_chance,
        reference_missing_rate,
        recent_missing_rate,
        cast(
            row_number() over (
                partition by symbol_id, ticker, timeframe
                order by
                    coalesce(stability_index_by_chance - stability_index, 0)
                    asc,
                    feature asc
            ) as integer
        ) as place

    from summed

    where n_recent > 0

)

select * from ordered
