with

feature_rows as (

    select
        symbol_id,
        ticker,
        timeframe,
        bar_number,
        closed_at,
        higher_bar_closed_at

    from {{ ref('feature_rows') }}

),

early as (

    select *

    from feature_rows

    where higher_bar_closed_at > closed_at

),

unaccepted as (

    {{ without_exceptions('audit_higher_bar_used_before_its_close', 'early') }}

)

select * from unaccepted
