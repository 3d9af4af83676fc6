-- Cut by cut: joined at once, the rows of all cuts are made before most are
-- dropped. Times and series are counted in one pass.
with

cuts as (

    select
        cut_id,
        as_of,
        calendar,
        timeframe

    from {{ ref('stg_ml__training_cuts') }}

),

counted as (

    select
        cuts.cut_id,
        cuts.as_of,
        cuts.calendar,
        cuts.timeframe,
        classes.horizon,
        classes.horizon_bars,
        classes.split_part,
        classes.bar_number,
        classes.symbol_id,
        classes.n_rows,
        classes.n_bearish,
        classes.n_neutral,
        classes.n_bullish

    from cuts

    cross join
        lateral (
            select
                pooled.horizon,
                pooled.horizon_bars,
                pooled.split_part,
                pooled.bar_number,
                pooled.symbol_id,
                {{ class_counts() }}

            from {{ ref('pooled_examples') }} as pooled

            where pooled.cut_id = cuts.cut_id

            group by
                grouping sets (
                    (
                        pooled.horizon,
                        pooled.horizon_bars,
                        pooled.split_part,
                        pooled.bar_number
                    ),
                    (
                        pooled.horizon,
                        pooled.horizon_bars,
                        pooled.split_part,
                        pooled.symbol_id
                    )
                )
        ) as classes

)

select * from counted
