-- The end of every label is counted again on the grid, and the boundary again
-- from the cut, so that neither's own column is taken at its word.
with

examples as (

    select
        cut_id,
        split_part,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        bar_number,
        closed_at,
        as_of

    from {{ ref('training_examples') }}

    where split_part in ('fit', 'validation')

),

cuts as (

    select
        cut_id,
        calendar,
        timeframe,
        embargo_bars,
        validation_starts_at

    from {{ ref('stg_ml__training_cuts') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        closed_at

    from {{ ref('bar_grid') }}

),

boundaries as (

    select
        cuts.cut_id,
        cuts.embargo_bars,
        grid.bar_number as validation_bar_number

    from cuts

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
        label_ends.closed_at as label_end_at,
        boundaries.validation_bar_number

    from examples

    inner join boundaries
        on examples.cut_id = boundaries.cut_id

    left join grid as label_ends
        on
            examples.calendar = label_ends.calendar
            and examples.timeframe = label_ends.timeframe
            and examples.bar_number + examples.horizon_bars
            = label_ends.bar_number

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
                or label_ends.closed_at is null
                or label_ends.closed_at > examples.as_of
            )
        )

),

unaccepted as (

    {{ without_exceptions('audit_label_crosses_cut', 'crossing') }}

)

select * from unaccepted
