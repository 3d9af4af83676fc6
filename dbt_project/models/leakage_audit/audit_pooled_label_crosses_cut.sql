-- As audit_label_crosses_cut, for the longer window of pooled members. Millions
-- of rows stand under every cut, so of each grid only the latest is asked. The
-- boundary of any other is asked there, of the examples in both windows; the
-- rest are divided by one statement for all cuts, and audit_label_end_off_grid
-- counts where their labels end.
with

cuts as (

    select
        cut_id,
        calendar,
        timeframe,
        embargo_bars,
        validation_starts_at,
        as_of

    from {{ ref('stg_ml__training_cuts') }}

),

latest_cuts as (

    select
        calendar,
        timeframe,
        max(cut_id) as cut_id

    from cuts

    group by calendar, timeframe

),

-- Cut by cut: joined at once, the rows of all cuts are made before most are
-- dropped.
examples as (

    select latest_examples.*

    from latest_cuts

    cross join
        lateral (
            select
                pooled.cut_id,
                pooled.split_part,
                pooled.symbol_id,
                pooled.ticker,
                pooled.calendar,
                pooled.timeframe,
                pooled.horizon,
                pooled.horizon_bars,
                pooled.bar_number,
                pooled.closed_at

            from {{ ref('pooled_examples') }} as pooled

            where
                pooled.cut_id = latest_cuts.cut_id
                and pooled.split_part in ('fit', 'validation')

            {{ computed_once() }}
        ) as latest_examples

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        closed_at

    from {{ ref('bar_grid') }}

),

last_known_bars as (

    select
        cuts.cut_id,
        max(grid.bar_number) as bar_number

    from cuts

    inner join grid
        on
            cuts.calendar = grid.calendar
            and cuts.timeframe = grid.timeframe
            and cuts.as_of >= grid.closed_at

    group by cuts.cut_id

),

boundaries as (

    select
        cuts.cut_id,
        cuts.embargo_bars,
        grid.bar_number as validation_bar_number,
        last_known_bars.bar_number as last_known_bar_number

    from cuts

    inner join latest_cuts
        on cuts.cut_id = latest_cuts.cut_id

    inner join last_known_bars
        on cuts.cut_id = last_known_bars.cut_id

    inner join grid
        on
            cuts.calendar = grid.calendar
            and cuts.timeframe = grid.timeframe
            and cuts.validation_starts_at = grid.closed_at

),

crossing as (

    select
        examples.cut_id,
        examples.split_part,
        examples.symbol_id,
        examples.ticker,
        examples.timeframe,
        examples.horizon,
        examples.bar_number,
        examples.closed_at,
        examples.bar_number + examples.horizon_bars as label_end_bar_number,
        boundaries.validation_bar_number

    from examples

    inner join boundaries
        on examples.cut_id = boundaries.cut_id

    where
        (
            examples.split_part = 'fit'
            and examples.bar_number
            + examples.horizon_bars
            + boundaries.embargo_bars
            > boundaries.validation_bar_number
        )
        or (
            examples.split_part = 'validation'
            and (
                examples.bar_number < boundaries.validation_bar_number
                or examples.bar_number + examples.horizon_bars
                > boundaries.last_known_bar_number
            )
        )

),

unaccepted as (

    {{ without_exceptions('audit_pooled_label_crosses_cut', 'crossing') }}

)

select * from unaccepted
