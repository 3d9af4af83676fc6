-- Three ways for a later value to pass as an earlier one: its record is dated
-- before it was loaded, a row made from it does not declare it, or a build of
-- the past lets it in.
{%- set longest_bars = var('longest_lookback_bars') | int(60) -%}
{%- set block = 'cast(floor(bar_number / ' ~ longest_bars ~ '.0) as integer)' %}

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

-- A first record is known at its bar's close. So a row that declares its own
-- close, or later, can rest on more only near a restated bar: no window
-- has more than sixty bars before its row's own. Blocks of so many bars are
-- matched at once: a row is in the block of the bar or in the next.
restated as (

    select
        symbol_id,
        timeframe,
        bar_number,
        max_recorded_at,
        {{ block }} as block

    from {{ ref('bars') }}

    where max_recorded_at > closed_at

),

reached as (

    select * from restated

    union all

    select
        symbol_id,
        timeframe,
        bar_number,
        max_recorded_at,
        block + 1 as block

    from restated

),

declared as (

    select
        symbol_id,
        timeframe,
        bar_number,
        max_recorded_at as declared_at,
        {{ block }} as block

    from {{ ref('feature_rows') }}

    where is_usable

),

behind_their_close as (

    select
        declared.symbol_id,
        declared.timeframe,
        declared.bar_number,
        declared.declared_at

    from declared

    inner join {{ ref('bars') }} as bars
        on
            declared.symbol_id = bars.symbol_id
            and declared.timeframe = bars.timeframe
            and declared.bar_number = bars.bar_number

    where declared.declared_at < bars.closed_at

),

behind_a_restatement as (

    select
        declared.symbol_id,
        declared.timeframe,
        declared.bar_number,
        declared.declared_at

    from declared

    inner join reached
        on
            declared.symbol_id = reached.symbol_id
            and declared.timeframe = reached.timeframe
            and declared.block = reached.block
            and declared.declared_at < reached.max_recorded_at
            and declared.bar_number
            between reached.bar_number
            and reached.bar_number + {{ longest_bars }}

),

behind as (

    select * from behind_their_close

    union

    select * from behind_a_restatement

),

suspected as (

    select
        behind.symbol_id,
        bars.ticker,
        behind.timeframe,
        behind.bar_number,
        bars.closed_at,
        behind.declared_at

    from behind

    inner join {{ ref('bars') }} as bars
        on
            behind.symbol_id = bars.symbol_id
            and behind.timeframe = bars.timeframe
            and behind.bar_number = bars.bar_number

    {{ computed_once() }}

),

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

    from {{ ref('bars') }}

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
