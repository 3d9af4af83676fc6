-- The work list of `feature_rows` and `labels`: series with bars that either
-- has not seen, and where to begin. Both are made again from the first such bar
-- on, feature rows also from the first that reads a changed bar of the next
-- higher timeframe, labels also for the bars whose target has come or is now
-- planned for another time.
{%- set features_watermark = watermark('feature_rows') -%}
{%- set labels_watermark = watermark('labels') -%}
{%- set labels = built_relation('labels') %}

with

bars as (

    select
        symbol_id,
        calendar,
        timeframe,
        bar_number,
        batch_id

    from {{ ref('bars') }}

),

series as (

    select distinct
        symbol_id,
        timeframe

    from {{ ref('int_series_loaded') }}

    union

    select
        symbol_id,
        timeframe

    from {{ ref('int_series_rolled_up') }}

),

symbols as (

    select
        symbol_id,
        ticker,
        calendar

    from {{ ref('stg_market__symbols') }}

),

timeframes as (

    select
        timeframe,
        higher_timeframe,
        max_hole_bars,
        min_window_share

    from {{ ref('timeframes') }}

),

horizons as (

    select
        calendar,
        timeframe,
        max(horizon_bars) as longest_horizon_bars

    from {{ ref('int_horizons_completed_with_defaults') }}

    group by calendar, timeframe

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        higher_timeframe,
        higher_bar_number

    from {{ ref('bar_grid') }}

),

grid_starts as (

    select
        calendar,
        timeframe,
        higher_timeframe,
        min(higher_bar_number) as higher_bar_number

    from grid

    where higher_timeframe is not null

    group by calendar, timeframe, higher_timeframe

),

-- In a row of its own: by a number the planner would look for new batches in
-- statistics that are older than these, and take them for none.
watermarks as (

    select
        cast(
            {{ [features_watermark, labels_watermark] | min }} as bigint
        ) as batch_id

    {{ computed_once() }}

),

changes as (

    select
        bars.symbol_id,
        max(bars.calendar) as calendar,
        bars.timeframe,
        min(bars.bar_number) as bar_number,
        count(*) as n_bars

    from bars

    inner join watermarks
        on bars.batch_id > watermarks.batch_id

    group by bars.symbol_id, bars.timeframe

),

-- Bars of the next lower timeframe that read a changed bar.
first_readers as (

    select
        changes.symbol_id,
        changes.calendar,
        grid.timeframe,
        min(grid.bar_number) as bar_number

    from changes

    inner join grid_starts
        on
            changes.calendar = grid_starts.calendar
            and changes.timeframe = grid_starts.higher_timeframe

    inner join series
        on
            changes.symbol_id = series.symbol_id
            and grid_starts.timeframe = series.timeframe

    inner join grid
        on
            grid_starts.calendar = grid.calendar
            and grid_starts.timeframe = grid.timeframe
            and greatest(changes.bar_number, grid_starts.higher_bar_number)
            = grid.higher_bar_number

    group by changes.symbol_id, changes.calendar, grid.timeframe

),

first_changes as (

    select
        symbol_id,
        calendar,
        timeframe,
        min(bar_number) as bar_number,
        min(own_bar_number) as own_bar_number,
        max(n_bars) as n_bars

    from (
        select
            changes.*,
            changes.bar_number as own_bar_number

        from changes

        union all

        select
            first_readers.*,
            cast(null as bigint) as n_bars,
            cast(null as integer) as own_bar_number

        from first_readers
    ) as either

    group by symbol_id, calendar, timeframe

),

-- The series' last bar that has labels: what lies behind it is new, and holes
-- behind it have only now become holes.
with_previous_ends as (

    select
        first_changes.*,
        {% if labels -%}
            (
                select max(labels.bar_number)

                from {{ labels }} as labels

                where
                    first_changes.symbol_id = labels.symbol_id
                    and first_changes.timeframe = labels.timeframe
            )
        {%- else -%}
            cast(null as integer)
        {%- endif %} as previous_end

    from first_changes

),

-- Of the higher timeframe the windows are needed from the bar that the first
-- row reads, even where none of its own rows is due.
needed as (

    select
        first_changes.symbol_id,
        first_changes.calendar,
        grid.higher_timeframe as timeframe,
        coalesce(grid.higher_bar_number, 1) as bar_number

    from first_changes

    inner join grid
        on
            first_changes.calendar = grid.calendar
            and first_changes.timeframe = grid.timeframe
            and first_changes.bar_number = grid.bar_number

    where grid.higher_timeframe is not null

),

begun as (

    select
        coalesce(own.symbol_id, needed.symbol_id) as symbol_id,
        coalesce(own.calendar, needed.calendar) as calendar,
        coalesce(own.timeframe, needed.timeframe) as timeframe,
        own.bar_number as from_bar_number,
        own.n_bars,
        -- A changed bar of the higher timeframe says nothing about a label.
        case
            when own.own_bar_number is not null
                then least(own.own_bar_number, own.previous_end + 1)
        end as from_new_bar_number,
        needed.bar_number as needed_bar_number

    from with_previous_ends as own

    full outer join needed
        on
            own.symbol_id = needed.symbol_id
            and own.timeframe = needed.timeframe

),

{% if labels -%}
    ends as (

        select
            series.symbol_id,
            series.timeframe,
            (
                select max(labels.bar_number)

                from {{ labels }} as labels

                where
                    series.symbol_id = labels.symbol_id
                    and series.timeframe = labels.timeframe
            ) as bar_number

        from series

        {{ computed_once() }}

    ),

    -- Labels whose target lies ahead, on a bar that the grid now has another
    -- close for: sessions that are still to come may move. A few looks into the
    -- keys for each series, not a pass over all labels.
    looked_at as (

        select
            ends.symbol_id,
            symbols.calendar,
            ends.timeframe,
            (
                select min(labels.bar_number)

                from {{ labels }} as labels

                where
                    ends.symbol_id = labels.symbol_id
                    and ends.timeframe = labels.timeframe
                    and ends.bar_number - horizons.longest_horizon_bars
                    < labels.bar_number
                    and ends.bar_number < labels.label_end_bar_number
                    and labels.label_end_at is distinct from (
                        select max(grid.closed_at)

                        from {{ ref('bar_grid') }} as grid

                        where
                            labels.calendar = grid.calendar
                            and labels.timeframe = grid.timeframe
                            and labels.label_end_bar_number = grid.bar_number
                    )
            ) as bar_number

        from ends

        inner join symbols
            on ends.symbol_id = symbols.symbol_id

        inner join horizons
            on
                symbols.calendar = horizons.calendar
                and ends.timeframe = horizons.timeframe

        {{ computed_once() }}

    ),

    moved as (

        select *

        from looked_at

        where bar_number is not null

    ),
{%- else -%}
    moved as (

        select
            symbol_id,
            calendar,
            timeframe,
            bar_number

        from changes

        where false

    ),
{%- endif %}

starts as (

    select
        coalesce(begun.symbol_id, moved.symbol_id) as symbol_id,
        coalesce(begun.calendar, moved.calendar) as calendar,
        coalesce(begun.timeframe, moved.timeframe) as timeframe,
        begun.from_bar_number,
        begun.from_new_bar_number,
        begun.needed_bar_number,
        begun.n_bars,
        moved.bar_number as moved_bar_number

    from begun

    full outer join moved
        on
            begun.symbol_id = moved.symbol_id
            and begun.timeframe = moved.timeframe

),

placed as (

    select
        starts.*,
        least(
            starts.from_new_bar_number
            - coalesce(horizons.longest_horizon_bars, 0),
            starts.moved_bar_number
        ) as from_label_bar_number

    from starts

    left join horizons
        on
            starts.calendar = horizons.calendar
            and starts.timeframe = horizons.timeframe

),

due as (

    select
        placed.symbol_id,
        symbols.ticker,
        placed.calendar,
        placed.timeframe,
        timeframes.higher_timeframe,
        timeframes.max_hole_bars,
        timeframes.min_window_share,
        placed.n_bars,
        row_number() over (
            order by placed.timeframe asc, placed.symbol_id asc
        ) as series_number,
        placed.from_bar_number,
        {% for end, which in [('min', 'first'), ('max', 'last')] -%}
            (
                select {{ end }}(bars.bar_number)

                from {{ ref('bars') }} as bars

                where
                    placed.symbol_id = bars.symbol_id
                    and placed.timeframe = bars.timeframe
            ) as {{ which }}_bar_number,
        {% endfor -%}
        placed.from_label_bar_number,
        placed.needed_bar_number is not null as is_read_by_finer,
        least(
            placed.needed_bar_number, placed.from_bar_number
        ) as from_row_bar_number,
        {{ block_number(
            'least(placed.needed_bar_number, placed.from_bar_number, '
            ~ 'placed.from_label_bar_number)'
        ) }} as from_block_number

    from placed

    inner join symbols
        on placed.symbol_id = symbols.symbol_id

    inner join timeframes
        on placed.timeframe = timeframes.timeframe

),

with_higher as (

    select
        due.*,
        -- All its bars are due and none is missing, as in most full builds: who
        -- looks for holes is spared the series.
        coalesce(
            due.n_bars = due.last_bar_number - due.first_bar_number + 1, false
        ) as is_whole,
        higher.series_number as higher_series_number

    from due

    left join due as higher
        on
            due.symbol_id = higher.symbol_id
            and due.higher_timeframe = higher.timeframe

)

select * from with_higher
