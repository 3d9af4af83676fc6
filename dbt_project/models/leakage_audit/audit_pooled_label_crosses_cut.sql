-- As audit_label_crosses_cut, for the longer window of pooled members. Millions
-- of rows stand under every cut, so of each grid only the latest is asked. The
-- boundary of any other is asked there, of the examples in both windows; the
-- rest are divided by one statement for all cuts, and audit_label_end_off_grid
-- counts where their labels end.
with

boundaries as (

    select
        cut_id,
        calendar,
        timeframe,
        embargo_bars,
        validation_bar_number,
        last_known_bar_number

    from {{ ref('int_cuts_counted_to_boundaries') }}

),

ranked as (

    select
        *,
        max(cut_id) over (
            partition by calendar, timeframe
        ) as latest_cut_id

    from boundaries

),

latest as (

    select * from ranked

    where cut_id = latest_cut_id

),

-- Cut by cut: joined at once, the rows of all cuts are made before most are
-- dropped.
crossing as (

    select
        latest.cut_id,
        found.split_part,
        found.symbol_id,
        found.ticker,
        found.timeframe,
        found.horizon,
        found.bar_number,
        found.closed_at,
        found.label_end_bar_number,
        latest.validation_bar_number

    from latest

    cross join
        lateral (
            select
                examples.split_part,
                examples.symbol_id,
                examples.ticker,
                examples.timeframe,
                examples.horizon,
                examples.bar_number,
                examples.closed_at,
                examples.bar_number + examples.horizon_bars
                    as label_end_bar_number

            from {{ ref('pooled_examples') }} as examples

            where
                examples.cut_id = latest.cut_id
                and {{ crosses_its_cut('examples', 'latest') }}
                and {{ read_first('examples.bar_number') }}

            {{ computed_once() }}
        ) as found

),

unaccepted as (

    {{ without_exceptions('audit_pooled_label_crosses_cut', 'crossing') }}

)

select * from unaccepted
