-- Three ways for a later value to pass as an earlier one: its record is dated
-- before it was loaded, a row made from it does not declare it, or a build of
-- the past lets it in.
{%- set longest_bars = var('longest_lookback_bars') | int(60) -%}
{%- set third = longest_bars // 3 %}

with

records as (

    select
        symbol_id,
        timeframe,
        opened_at,
        closed_at,
        batch_id,
        recorded_at,
        ingested_at

    from {{ ref('stg_market__bar_records') }}

),

symbols as (

    select
        symbol_id,
        ticker

    from {{ ref('stg_market__symbols') }}

),

bars as (

    select
        symbol_id,
        ticker,
        timeframe,
        bar_number,
        closed_at,
        max_recorded_at

    from {{ ref('bars') }}

),

feature_rows as (

    select
        symbol_id,
        timeframe,
        bar_number,
        max_recorded_at

    from {{ ref('feature_rows') }}

    where is_usable

),

first_batches as (

    select
        symbol_id,
        timeframe,
        opened_at,
        min(batch_id) as batch_id

    from records

    group by symbol_id, timeframe, opened_at

    having count(*) > 1

),

backdated as (

    select
        records.symbol_id,
        symbols.ticker,
        records.timeframe,
        records.closed_at,
        records.recorded_at as declared_at,
        records.ingested_at as used_at,
        cast('dated_before_its_load' as text) as violation

    from records

    inner join first_batches
        on
            records.symbol_id = first_batches.symbol_id
            and records.timeframe = first_batches.timeframe
            and records.opened_at = first_batches.opened_at
            and records.batch_id > first_batches.batch_id

    inner join symbols
        on records.symbol_id = symbols.symbol_id

    where records.recorded_at < records.ingested_at

),

-- No window has more than sixty bars before its row's own, so all are among the
-- last rows. The maximum of these 61 is that of three times 21, which share
-- ends.
windowed as (

    select
        *,
        max(max_recorded_at) over (
            partition by symbol_id, timeframe
            order by bar_number asc
            rows between {{ third }} preceding and current row
        ) as last_recorded_at

    from bars

),

used as (

    select
        *,
        greatest(
            last_recorded_at,
            lag(last_recorded_at, {{ third }}) over (
                partition by symbol_id, timeframe order by bar_number asc
            ),
            lag(last_recorded_at, {{ 2 * third }}) over (
                partition by symbol_id, timeframe order by bar_number asc
            )
        ) as used_at

    from windowed

),

suspected as (

    select
        used.symbol_id,
        used.ticker,
        used.timeframe,
        used.bar_number,
        used.closed_at,
        feature_rows.max_recorded_at as declared_at

    from used

    inner join feature_rows
        on
            used.symbol_id = feature_rows.symbol_id
            and used.timeframe = feature_rows.timeframe
            and used.bar_number = feature_rows.bar_number

    where feature_rows.max_recorded_at < used.used_at

    {{ computed_once() }}

),

-- Where bars were carried the last rows reach further back than the window.
undeclared as (

    select
        suspected.symbol_id,
        suspected.ticker,
        suspected.timeframe,
        suspected.closed_at,
        suspected.declared_at,
        max(bars.max_recorded_at) as used_at,
        cast('not_declared_by_the_row' as text) as violation

    from suspected

    inner join {{ ref('bars') }} as bars
        on
            suspected.symbol_id = bars.symbol_id
            and suspected.timeframe = bars.timeframe
            and suspected.declared_at < bars.max_recorded_at
            and bars.bar_number
            between suspected.bar_number - {{ longest_bars }}
            and suspected.bar_number

    group by
        suspected.symbol_id,
        suspected.ticker,
        suspected.timeframe,
        suspected.closed_at,
        suspected.declared_at

),

let_in as (

    select
        symbol_id,
        ticker,
        timeframe,
        closed_at,
        {{ as_of_time() }} as declared_at,
        max_recorded_at as used_at,
        cast('recorded_after_as_of' as text) as violation

    from bars

    where max_recorded_at > {{ as_of_time() }}

),

combined as (

    select * from backdated

    union all

    select * from undeclared

    union all

    select * from let_in

),

unaccepted as (

    {{ without_exceptions(
        'audit_restatement_used_before_it_was_recorded', 'combined'
    ) }}

)

select * from unaccepted
