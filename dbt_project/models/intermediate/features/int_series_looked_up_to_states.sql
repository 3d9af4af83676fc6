-- How far each series reaches and whether its newest bar can be used: a few
-- looks into the keys for each series, not a pass over all bars.
{%- set in_series -%}
    series.symbol_id = bars.symbol_id
    and series.timeframe = bars.timeframe
{%- endset -%}
{%- set in_rows -%}
    newest.symbol_id = feature_rows.symbol_id
    and newest.timeframe = feature_rows.timeframe
{%- endset %}

with

symbols as (

    select
        symbol_id,
        ticker,
        calendar,
        delisted_at,
        deactivated_at

    from {{ ref('stg_market__symbols') }}

),

timeframes as (

    select
        timeframe,
        sort_order,
        stale_after_sessions,
        max_hole_bars

    from {{ ref('timeframes') }}

),

series as (

    select
        symbols.*,
        timeframes.*

    from symbols

    cross join timeframes

),

spans as (

    select
        series.*,
        (
            select min(bars.bar_number)

            from {{ ref('bars') }} as bars

            where
                {{ in_series | indent(16) }}
        ) as first_bar_number,
        (
            select max(bars.bar_number)

            from {{ ref('bars') }} as bars

            where
                {{ in_series | indent(16) }}
        ) as last_bar_number,
        (
            select count(*)

            from {{ ref('bars') }} as bars

            where
                {{ in_series | indent(16) }}
        ) as n_bars

    from series

),

-- Series without a bar fall away.
newest as (

    select
        spans.*,
        bars.session_date as last_session_date,
        bars.session_number as last_session_number,
        bars.closed_at as last_closed_at,
        bars.close as last_close

    from spans

    inner join {{ ref('bars') }} as bars
        on
            spans.symbol_id = bars.symbol_id
            and spans.timeframe = bars.timeframe
            and spans.last_bar_number = bars.bar_number

),

states as (

    select
        newest.symbol_id,
        newest.ticker,
        newest.calendar,
        newest.timeframe,
        newest.sort_order,
        newest.stale_after_sessions,
        newest.max_hole_bars,
        newest.delisted_at,
        newest.deactivated_at,
        newest.first_bar_number,
        newest.last_bar_number,
        newest.last_session_date,
        newest.last_session_number,
        newest.last_closed_at,
        newest.last_close,
        newest.n_bars,
        newest.last_bar_number
        - newest.first_bar_number
        + 1
        - newest.n_bars as n_missing_bars,
        coalesce(newest_rows.is_usable, false) as is_usable,
        newest_rows.unusable_reason,
        -- Counted until there are enough.
        (
            select count(*)

            from (
                select feature_rows.bar_number

                from {{ ref('feature_rows') }} as feature_rows

                where
                    {{ in_rows | indent(20) }}
                    and feature_rows.is_usable

                limit {{ var('min_usable_rows') }}
            ) as enough_rows
        ) as n_usable_rows,
        case
            when not newest_rows.is_usable
                then
                    (
                        select max(feature_rows.bar_number)

                        from {{ ref('feature_rows') }} as feature_rows

                        where
                            {{ in_rows | indent(28) }}
                            and feature_rows.is_usable
                    )
        end as last_usable_bar_number

    from newest

    left join {{ ref('feature_rows') }} as newest_rows
        on
            newest.symbol_id = newest_rows.symbol_id
            and newest.timeframe = newest_rows.timeframe
            and newest.last_bar_number = newest_rows.bar_number

)

select * from states
