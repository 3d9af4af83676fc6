-- Where cuts divide the grid, counted in bars. Audits compare bar numbers with
-- these, so that no row has to be looked up on the grid.
with

cuts as (

    select
        cut_id,
        calendar,
        timeframe,
        as_of,
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

counted as (

    select
        cuts.cut_id,
        cuts.calendar,
        cuts.timeframe,
        cuts.as_of,
        cuts.embargo_bars,
        min(
            case
                when grid.closed_at >= cuts.validation_starts_at
                    then grid.bar_number
            end
        ) as validation_bar_number,
        -- Before the first bar nothing is known, and every label is too late.
        coalesce(
            max(
                case when grid.closed_at <= cuts.as_of then grid.bar_number end
            ),
            0
        ) as last_known_bar_number

    from cuts

    inner join grid
        on
            cuts.calendar = grid.calendar
            and cuts.timeframe = grid.timeframe

    group by
        cuts.cut_id,
        cuts.calendar,
        cuts.timeframe,
        cuts.as_of,
        cuts.embargo_bars

)

select * from counted
