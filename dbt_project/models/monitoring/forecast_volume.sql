with

due as (

    select * from {{ ref('int_forecasts_due_by_bar') }}

),

counted as (

    select
        symbol_id,
        ticker,
        timeframe,
        session_date,
        result,
        count(*) as n

    from due

    group by symbol_id, ticker, timeframe, session_date, result

),

summed as (

    select
        symbol_id,
        ticker,
        timeframe,
        session_date,
        cast(sum(n) as integer) as n_expected,
        {% for column, condition in {
            'n_issued': "result = 'issued'",
            'n_issued_late': "result = 'issued_late'",
            'n_missing_bar': "result = 'missing_bar'",
            'n_unusable': "result like 'unusable%'",
            'n_not_issued': "result = 'not_issued'",
        }.items() -%}
            cast(
                sum(case when {{ condition }} then n else 0 end) as integer
            ) as {{ column }},
        {% endfor -%}
        {{ joined_text(
            "case when result <> 'issued' "
            ~ "then result || ' ' || cast(n as text) end",
            'result'
        ) }} as reasons

    from counted

    group by symbol_id, ticker, timeframe, session_date

)

select * from summed
