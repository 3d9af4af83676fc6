-- Every record that one training example was made from: the bars in its
-- windows and the one whose close was carried to their beginning, those of the
-- next higher timeframe, intraday the sessions that say what to expect of each
-- place, the bar on which its label ends, and the splits and dividends between
-- them.
{%- set example = var('example', {
    'cut_id': 0, 'ticker': '', 'timeframe': '', 'horizon': '', 'bar_number': 0
}) -%}
{%- set longest_sessions = var('longest_profile_sessions') | int(40) %}

with

examples as (

    select
        symbol_id,
        calendar,
        timeframe,
        bar_number,
        label_end_bar_number

    from {{ ref('training_examples') }}

    where
        cut_id = {{ example.cut_id }}
        and ticker = '{{ example.ticker }}'
        and timeframe = '{{ example.timeframe }}'
        and horizon = '{{ example.horizon }}'
        and bar_number = {{ example.bar_number }}

),

bars as (

    select
        symbol_id,
        calendar,
        timeframe,
        bar_number,
        session_number,
        opened_at,
        closed_at,
        higher_timeframe,
        higher_bar_number

    from {{ ref('bars') }}

),

grid as (

    select
        calendar,
        timeframe,
        bar_number,
        full_session_bars

    from {{ ref('bar_grid') }}

),

lookbacks as (

    select
        max(
            case when family <> 'higher timeframe' then lookback_bars end
        ) as own_bars,
        max(
            case when family = 'higher timeframe' then lookback_bars end
        ) as higher_bars

    from {{ ref('feature_catalog') }}

),

own_starts as (

    select coalesce(max(bars.bar_number), 0) as bar_number

    from examples

    cross join lookbacks

    inner join bars
        on
            examples.symbol_id = bars.symbol_id
            and examples.timeframe = bars.timeframe
            and examples.bar_number - lookbacks.own_bars >= bars.bar_number

),

own_bars as (

    select
        cast('features' as text) as part,
        bars.*

    from examples

    cross join own_starts

    inner join bars
        on
            examples.symbol_id = bars.symbol_id
            and examples.timeframe = bars.timeframe
            and bars.bar_number
            between own_starts.bar_number
            and examples.bar_number

),

higher_starts as (

    select coalesce(max(bars.bar_number), 0) as bar_number

    from examples

    cross join lookbacks

    inner join own_bars
        on examples.bar_number = own_bars.bar_number

    inner join bars
        on
            own_bars.symbol_id = bars.symbol_id
            and own_bars.higher_timeframe = bars.timeframe
            and own_bars.higher_bar_number - lookbacks.higher_bars
            >= bars.bar_number

),

higher_bars as (

    select
        cast('higher timeframe' as text) as part,
        bars.*

    from examples

    cross join higher_starts

    inner join own_bars
        on examples.bar_number = own_bars.bar_number

    inner join bars
        on
            own_bars.symbol_id = bars.symbol_id
            and own_bars.higher_timeframe = bars.timeframe
            and bars.bar_number
            between higher_starts.bar_number
            and own_bars.higher_bar_number

),

-- Of the example's own bar and of the higher one that it reads.
profiled_bars as (

    select own_bars.*

    from own_bars

    inner join examples
        on own_bars.bar_number = examples.bar_number

    union all

    select higher_bars.*

    from higher_bars

    inner join own_bars
        on higher_bars.bar_number = own_bars.higher_bar_number

    inner join examples
        on own_bars.bar_number = examples.bar_number

),

-- The profile has all places of a full session, also for the bar of an early
-- close that is the only one of its session.
profile_bars as (

    select
        cast('session profile' as text) as part,
        bars.*

    from profiled_bars

    inner join grid
        on
            profiled_bars.calendar = grid.calendar
            and profiled_bars.timeframe = grid.timeframe
            and profiled_bars.bar_number = grid.bar_number

    inner join bars
        on
            profiled_bars.symbol_id = bars.symbol_id
            and profiled_bars.timeframe = bars.timeframe
            and profiled_bars.bar_number >= bars.bar_number
            and bars.session_number
            >= profiled_bars.session_number - {{ longest_sessions }} - 1

    where grid.full_session_bars > 1

),

label_ends as (

    select
        cast('label' as text) as part,
        bars.*

    from examples

    inner join bars
        on
            examples.symbol_id = bars.symbol_id
            and examples.timeframe = bars.timeframe
            and examples.label_end_bar_number = bars.bar_number

),

read_bars as (

    select * from own_bars

    union all

    select * from higher_bars

    union all

    select * from profile_bars

    union all

    select * from label_ends

),

records as (

    select
        records.symbol_id,
        records.timeframe,
        timeframes.sort_order,
        records.opened_at,
        records.closed_at,
        records.close,
        records.recorded_at,
        records.is_backfill,
        records.ingested_at,
        records.source,
        records.batch_id

    from {{ ref('stg_market__bar_records') }} as records

    inner join {{ ref('timeframes') }} as timeframes
        on records.timeframe = timeframes.timeframe

    where
        records.symbol_id in (
            select examples.symbol_id
            from examples
        )

),

newest_records as (

    select records.*

    from records

    left join records as later_records
        on
            records.timeframe = later_records.timeframe
            and records.opened_at = later_records.opened_at
            and records.batch_id < later_records.batch_id

    where later_records.batch_id is null

),

-- A bar is its own record where its timeframe was loaded, else it was made from
-- those of the next finer timeframe that was.
matched as (

    select
        read_bars.part,
        read_bars.bar_number,
        read_bars.timeframe as bar_timeframe,
        newest_records.*,
        max(newest_records.sort_order) over (
            partition by
                read_bars.part, read_bars.timeframe, read_bars.bar_number
        ) as coarsest_sort_order

    from read_bars

    inner join {{ ref('timeframes') }} as timeframes
        on read_bars.timeframe = timeframes.timeframe

    inner join newest_records
        on
            read_bars.opened_at <= newest_records.opened_at
            and read_bars.closed_at >= newest_records.closed_at
            and timeframes.sort_order >= newest_records.sort_order

),

bar_lineage as (

    select
        part,
        bar_timeframe,
        bar_number,
        cast('bar' as text) as kind,
        timeframe as record_timeframe,
        opened_at,
        close as recorded_value,
        source,
        recorded_at,
        is_backfill,
        ingested_at,
        batch_id

    from matched

    where sort_order = coarsest_sort_order

),

spans as (

    select
        read_bars.symbol_id,
        min(read_bars.opened_at) as first_opened_at,
        max(read_bars.closed_at) as last_closed_at

    from read_bars

    group by read_bars.symbol_id

),

adjustment_lineage as (

    select
        cast('adjustment' as text) as part,
        cast(null as text) as bar_timeframe,
        cast(null as integer) as bar_number,
        records.kind,
        cast(null as text) as record_timeframe,
        records.effective_at as opened_at,
        records.factor as recorded_value,
        records.source,
        records.recorded_at,
        records.is_backfill,
        records.ingested_at,
        records.batch_id

    from spans

    inner join {{ ref('stg_market__adjustments') }} as adjustments
        on
            spans.symbol_id = adjustments.symbol_id
            and spans.first_opened_at < adjustments.effective_at
            and spans.last_closed_at >= adjustments.effective_at

    inner join {{ source('market', 'adjustments') }} as records
        on
            adjustments.symbol_id = records.symbol_id
            and adjustments.effective_at = records.effective_at
            and adjustments.kind = records.kind
            and adjustments.batch_id = records.batch_id

),

combined as (

    select * from bar_lineage

    union all

    select * from adjustment_lineage

)

select * from combined
order by
    part asc,
    bar_timeframe asc,
    bar_number asc,
    opened_at asc
