with

bars as (

    select
        cast('bars' as text) as relation,
        symbol_id,
        ticker,
        timeframe,
        cast(null as text) as horizon,
        bar_number,
        closed_at

    from {{ ref('bars') }}

),

feature_rows as (

    select
        cast('feature_rows' as text) as relation,
        symbol_id,
        ticker,
        timeframe,
        cast(null as text) as horizon,
        bar_number,
        closed_at

    from {{ ref('feature_rows') }}

),

labels as (

    select
        cast('labels' as text) as relation,
        symbol_id,
        ticker,
        timeframe,
        horizon,
        bar_number,
        closed_at

    from {{ ref('labels') }}

),

combined as (

    select * from bars

    union all

    select * from feature_rows

    union all

    select * from labels

),

duplicates as (

    select
        relation,
        symbol_id,
        min(ticker) as ticker,
        timeframe,
        horizon,
        bar_number,
        min(closed_at) as closed_at,
        count(*) as n_rows

    from combined

    group by relation, symbol_id, timeframe, horizon, bar_number

    having count(*) > 1

),

unaccepted as (

    {{ without_exceptions('audit_duplicate_grain', 'duplicates') }}

)

select * from unaccepted
