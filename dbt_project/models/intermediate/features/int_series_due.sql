-- The work list of `feature_rows` and `labels`: series with bars that either
-- has not seen, and where to begin. Both are made again from the first such bar
-- on, feature rows also from the first that reads a changed bar of the next
-- higher timeframe, labels also for the bars whose target has come.
{%- do stop_when_label_seeds_changed(
    ref('stg_market__symbols'), ref('horizons'), ref('label_rules')
) -%}
{%- set features_watermark = watermark('feature_rows') -%}
{%- set labels_watermark = watermark('labels') %}

with

bars as (

    select
        symbol_id,
        timeframe,
        bar_number,
        higher_timeframe,
        higher_bar_number,
        batch_id

    from {{ ref('bars') }}

),

horizons as (

    select
        timeframe,
        max(horizon_bars) as longest_horizon_bars

    from {{ ref('horizons') }}

    group by timeframe

),

watermarks as (

    select
        least({{ features_watermark }}, {{ labels_watermark }}) as batch_id

),

changes as (

    select
        bars.symbol_id,
        bars.timeframe,
        min(bars.bar_number) as bar_number

    from bars

    inner join watermarks
        on bars.batch_id > watermarks.batch_id

    group by bars.symbol_id, bars.timeframe

),

-- The series' last bar that was there before: what lies behind it is new, and
-- holes behind it have only now become holes.
previous_ends as (

    select
        bars.symbol_id,
        bars.timeframe,
        max(bars.bar_number) as bar_number

    from bars

    inner join watermarks
        on bars.batch_id <= watermarks.batch_id

    inner join changes
        on
            bars.symbol_id = changes.symbol_id
            and bars.timeframe = changes.timeframe

    group by bars.symbol_id, bars.timeframe

),

changes_of_higher as (

    select
        bars.symbol_id,
        bars.timeframe,
        min(bars.bar_number) as bar_number

    from bars

    inner join changes
        on
            bars.symbol_id = changes.symbol_id
            and bars.higher_timeframe = changes.timeframe
            and bars.higher_bar_number >= changes.bar_number

    group by bars.symbol_id, bars.timeframe

),

first_changes as (

    select
        symbol_id,
        timeframe,
        min(bar_number) as bar_number

    from (
        select * from changes

        union all

        select * from changes_of_higher
    ) as either

    group by symbol_id, timeframe

),

-- Of the higher timeframe the windows are needed from the bar that the first
-- row reads, even where none of its own rows is due.
needed as (

    select
        first_changes.symbol_id,
        bars.higher_timeframe as timeframe,
        min(bars.higher_bar_number) as bar_number

    from first_changes

    inner join bars
        on
            first_changes.symbol_id = bars.symbol_id
            and first_changes.timeframe = bars.timeframe
            and first_changes.bar_number = bars.bar_number

    where bars.higher_bar_number is not null

    group by first_changes.symbol_id, bars.higher_timeframe

),

begun as (

    select
        coalesce(first_changes.symbol_id, needed.symbol_id) as symbol_id,
        coalesce(first_changes.timeframe, needed.timeframe) as timeframe,
        first_changes.bar_number as from_bar_number,
        needed.bar_number as needed_bar_number

    from first_changes

    full outer join needed
        on
            first_changes.symbol_id = needed.symbol_id
            and first_changes.timeframe = needed.timeframe

),

due as (

    select
        begun.symbol_id,
        begun.timeframe,
        begun.from_bar_number,
        least(
            begun.from_bar_number, previous_ends.bar_number + 1
        ) - horizons.longest_horizon_bars as from_label_bar_number,
        {{ block_number(
            'least(begun.needed_bar_number, begun.from_bar_number, '
            ~ 'previous_ends.bar_number + 1) - case when '
            ~ 'begun.from_bar_number is null then 0 '
            ~ 'else horizons.longest_horizon_bars end'
        ) }} as from_block_number

    from begun

    inner join horizons
        on begun.timeframe = horizons.timeframe

    left join previous_ends
        on
            begun.symbol_id = previous_ends.symbol_id
            and begun.timeframe = previous_ends.timeframe

)

select * from due
