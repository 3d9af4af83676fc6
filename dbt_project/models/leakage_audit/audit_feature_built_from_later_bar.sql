with

feature_rows as (

    select
        symbol_id,
        ticker,
        timeframe,
        bar_number,
        closed_at,
        last_bar_closed_at

    from {{ ref('feature_rows') }}

),

later as (

    select *

    from feature_rows

    where last_bar_closed_at > closed_at

),

unaccepted as (

    {{ without_exceptions('audit_feature_built_from_later_bar', 'later') }}

)

select * from unaccepted
