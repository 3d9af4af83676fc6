-- The end of every label is counted again on the grid, and the boundary again
-- from the cut, so that neither's own column is taken at its word.
with

boundaries as (

    select
        cut_id,
        embargo_bars,
        validation_bar_number,
        last_known_bar_number

    from {{ ref('int_cuts_counted_to_boundaries') }}

),

label_ends as (

    select
        calendar,
        timeframe,
        bar_number,
        closed_at

    from {{ ref('bar_grid') }}

),

-- Cut by cut, so that labels are asked while they are read: joined at once, the
-- rows of all cuts are made before any is dropped.
crossing as (

    select
        boundaries.cut_id,
        found.split_part,
        found.symbol_id,
        found.ticker,
        found.calendar,
        found.timeframe,
        found.horizon,
        found.bar_number,
        found.closed_at,
        found.label_end_bar_number,
        boundaries.validation_bar_number

    from boundaries

    cross join
        lateral (
            select
                examples.split_part,
                examples.symbol_id,
                examples.ticker,
                examples.calendar,
                examples.timeframe,
                examples.horizon,
                examples.bar_number,
                examples.closed_at,
                examples.bar_number + examples.horizon_bars
                    as label_end_bar_number

            from {{ ref('training_examples') }} as examples

            where
                examples.cut_id = boundaries.cut_id
                and {{ crosses_its_cut('examples', 'boundaries') }}
                and {{ read_first('examples.bar_number') }}

            {{ computed_once() }}
        ) as found

),

timed as (

    select
        crossing.cut_id,
        crossing.split_part,
        crossing.symbol_id,
        crossing.ticker,
        crossing.timeframe,
        crossing.horizon,
        crossing.bar_number,
        crossing.closed_at,
        label_ends.closed_at as label_end_at,
        crossing.validation_bar_number

    from crossing

    left join label_ends
        on
            crossing.calendar = label_ends.calendar
            and crossing.timeframe = label_ends.timeframe
            and crossing.label_end_bar_number = label_ends.bar_number

),

unaccepted as (

    {{ without_exceptions('audit_label_crosses_cut', 'timed') }}

)

select * from unaccepted
