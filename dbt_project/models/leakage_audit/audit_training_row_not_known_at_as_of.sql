-- Live tables hold the newest knowledge, so a training as of the past can read
-- what was recorded later. A cut made before the next bar closed is of its own
-- present and may know what it was made with. What was recorded after the last
-- training under a cut has been in none and is no finding.
with

examples as (

    select
        cut_id,
        as_of,
        split_part,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        bar_number,
        closed_at,
        label_end_bar_number

    from {{ ref('training_examples') }}

    where split_part in ('fit', 'validation')

),

feature_rows as (

    select
        symbol_id,
        timeframe,
        bar_number,
        max_recorded_at

    from {{ ref('feature_rows') }}

),

target_bars as (

    select
        symbol_id,
        timeframe,
        bar_number,
        max_recorded_at

    from {{ ref('bars') }}

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
        created_at

    from {{ ref('stg_ml__ensembles') }}

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
        max(created_at) as created_at

    from ensembles

    group by cut_id

),

bounded as (

    select
        cuts.cut_id,
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

),

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
        greatest(
            feature_rows.max_recorded_at, target_bars.max_recorded_at
        ) as max_recorded_at

    from examples

    inner join feature_rows
        on
            examples.symbol_id = feature_rows.symbol_id
            and examples.timeframe = feature_rows.timeframe
            and examples.bar_number = feature_rows.bar_number

    inner join target_bars
        on
            examples.symbol_id = target_bars.symbol_id
            and examples.timeframe = target_bars.timeframe
            and examples.label_end_bar_number = target_bars.bar_number

),

unknown as (

    select
        recorded.*,
        bounded.known_until

    from recorded

    inner join bounded
        on recorded.cut_id = bounded.cut_id

    where
        recorded.max_recorded_at > bounded.known_until
        and recorded.max_recorded_at <= bounded.last_used_at

),

unaccepted as (

    {{ without_exceptions('audit_training_row_not_known_at_as_of', 'unknown') }}

)

select * from unaccepted
