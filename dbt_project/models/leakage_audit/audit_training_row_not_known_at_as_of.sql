-- Live tables hold the newest knowledge, so a training as of the past can read
-- what was recorded later. A cut made before the next bar closed is of its own
-- present and may know what it was made with. What was recorded after the last
-- training under a cut has been in none and is no finding.
--
-- The rows of pooled_examples are those of training_examples and, since its
-- window begins earlier, more. Deployed members are refitted on purged ones,
-- too.
{%- set recorded_times = [
    'features_recorded_at', 'target_recorded_at', 'adjustment_recorded_at'
] %}

with

labels as (

    select
        symbol_id,
        calendar,
        timeframe,
        horizon,
        bar_number,
        closed_at,
        label_end_bar_number,
        label_end_at

    from {{ ref('labels') }}

    where label is not null

),

late_feature_rows as (

    select
        symbol_id,
        timeframe,
        bar_number,
        max_recorded_at

    from {{ ref('feature_rows') }}

    where max_recorded_at > closed_at

),

late_target_bars as (

    select
        symbol_id,
        timeframe,
        bar_number,
        max_recorded_at

    from {{ ref('bars') }}

    where max_recorded_at > closed_at

),

late_adjustments as (

    select
        symbol_id,
        effective_at,
        recorded_at

    from {{ ref('stg_market__adjustments') }}

    where recorded_at > effective_at

),

cuts as (

    select
        cut_id,
        calendar,
        timeframe,
        as_of,
        created_at

    from {{ ref('stg_ml__training_cuts') }}

),

ensembles as (

    select
        cut_id,
        run_name,
        created_at

    from {{ ref('stg_ml__ensembles') }}

    -- New weights for members that stay as they are read no row.
    where members_version_id is null

),

grid as (

    select
        calendar,
        timeframe,
        closed_at

    from {{ ref('bar_grid') }}

),

next_closes as (

    select
        cuts.cut_id,
        min(grid.closed_at) as closed_at

    from cuts

    inner join grid
        on
            cuts.calendar = grid.calendar
            and cuts.timeframe = grid.timeframe
            and cuts.as_of < grid.closed_at

    group by cuts.cut_id

),

last_trainings as (

    select
        cut_id,
        max(case when run_name is null then created_at end) as created_at

    from ensembles

    group by cut_id

),

bounded as (

    select
        cuts.cut_id,
        cuts.calendar,
        cuts.timeframe,
        cuts.as_of,
        case
            when next_closes.closed_at <= cuts.created_at then cuts.as_of
            else greatest(cuts.as_of, cuts.created_at)
        end as known_until,
        coalesce(
            greatest(cuts.created_at, last_trainings.created_at),
            cuts.created_at
        ) as last_used_at

    from cuts

    left join next_closes
        on cuts.cut_id = next_closes.cut_id

    left join last_trainings
        on cuts.cut_id = last_trainings.cut_id

    -- A backtest reads the values of today, and says so.
    where
        last_trainings.cut_id is null
        or last_trainings.created_at is not null

),

-- A label reads its two ends, and what takes effect between them puts both on
-- one basis, though neither may declare it.
late_labels as (

    select
        labels.symbol_id,
        labels.calendar,
        labels.timeframe,
        labels.horizon,
        labels.bar_number,
        labels.label_end_at,
        late_feature_rows.max_recorded_at as features_recorded_at,
        late_target_bars.max_recorded_at as target_recorded_at,
        late_adjustments.recorded_at as adjustment_recorded_at

    from labels

    left join late_feature_rows
        on
            labels.symbol_id = late_feature_rows.symbol_id
            and labels.timeframe = late_feature_rows.timeframe
            and labels.bar_number = late_feature_rows.bar_number

    left join late_target_bars
        on
            labels.symbol_id = late_target_bars.symbol_id
            and labels.timeframe = late_target_bars.timeframe
            and labels.label_end_bar_number = late_target_bars.bar_number

    left join late_adjustments
        on
            labels.symbol_id = late_adjustments.symbol_id
            and labels.closed_at <= late_adjustments.effective_at
            and labels.label_end_at > late_adjustments.effective_at

    where
        late_feature_rows.max_recorded_at is not null
        or late_target_bars.max_recorded_at is not null
        or late_adjustments.recorded_at is not null

    {{ computed_once() }}

),

-- Bars that are loaded as they close are all recorded a little later. Only what
-- came after the as-of time of a cut that the label had ended by can be a
-- finding.
doubtful as (

    select
        symbol_id,
        timeframe,
        horizon,
        bar_number,
        {{ recorded_times | join(',\n        ') }}

    from late_labels

    where
        exists (
            select 1

            from bounded

            where
                bounded.calendar = late_labels.calendar
                and bounded.timeframe = late_labels.timeframe
                and bounded.as_of >= late_labels.label_end_at
                and bounded.as_of < greatest(
                    late_labels.{{
                        recorded_times | join(', late_labels.')
                    }}
                )
        )

    {{ computed_once() }}

),

-- Each is looked up by its key: under all cuts together stand many millions of
-- rows, and few are late.
recorded as (

    select
        examples.cut_id,
        examples.as_of,
        examples.split_part,
        examples.symbol_id,
        examples.ticker,
        examples.timeframe,
        examples.horizon,
        examples.bar_number,
        examples.closed_at,
        doubtful.{{ recorded_times | join(',\n        doubtful.') }}

    from doubtful

    cross join
        lateral (
            select
                pooled.cut_id,
                pooled.as_of,
                pooled.split_part,
                pooled.symbol_id,
                pooled.ticker,
                pooled.timeframe,
                pooled.horizon,
                pooled.bar_number,
                pooled.closed_at

            from {{ ref('pooled_examples') }} as pooled

            where
                pooled.symbol_id = doubtful.symbol_id
                and pooled.timeframe = doubtful.timeframe
                and pooled.horizon = doubtful.horizon
                and pooled.bar_number = doubtful.bar_number

            {{ computed_once() }}
        ) as examples

),

-- Each record is asked by itself: one that came after the last training hides
-- none that came before it.
judged as (

    select
        recorded.cut_id,
        recorded.as_of,
        recorded.split_part,
        recorded.symbol_id,
        recorded.ticker,
        recorded.timeframe,
        recorded.horizon,
        recorded.bar_number,
        recorded.closed_at,
        bounded.known_until,
        greatest(
            {% for time in recorded_times -%}
                case
                    when
                        recorded.{{ time }} > bounded.known_until
                        and recorded.{{ time }} <= bounded.last_used_at
                        then recorded.{{ time }}
                end
                {{- ',' if not loop.last }}
            {% endfor %}
        ) as recorded_at

    from recorded

    inner join bounded
        on recorded.cut_id = bounded.cut_id

),

unknown as (

    select
        cut_id,
        as_of,
        split_part,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        bar_number,
        closed_at,
        known_until,
        max(recorded_at) as max_recorded_at

    from judged

    where recorded_at is not null

    group by
        cut_id,
        as_of,
        split_part,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        bar_number,
        closed_at,
        known_until

),

unaccepted as (

    {{ without_exceptions('audit_training_row_not_known_at_as_of', 'unknown') }}

)

select * from unaccepted
