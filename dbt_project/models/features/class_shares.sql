with

examples as (

    select
        cut_id,
        as_of,
        split_part,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        label

    from {{ ref('training_examples') }}

),

counted as (

    select
        cut_id,
        as_of,
        split_part,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        {{ class_counts() }}

    from examples

    group by
        cut_id,
        as_of,
        split_part,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        horizon_bars

),

-- Neighbouring labels share all but one bar of their horizon, so h rows say
-- about as much as one.
shared as (

    select
        cut_id,
        as_of,
        split_part,
        symbol_id,
        ticker,
        calendar,
        timeframe,
        horizon,
        horizon_bars,
        n_rows,
        cast(n_rows as double precision) / horizon_bars as effective_n_rows,
        cast(n_bearish as double precision) / n_rows as bearish_share,
        cast(n_neutral as double precision) / n_rows as neutral_share,
        cast(n_bullish as double precision) / n_rows as bullish_share

    from counted

)

select * from shared
