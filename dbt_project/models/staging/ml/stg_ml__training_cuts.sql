with

training_cuts as (

    select
        cut_id,
        calendar,
        timeframe,
        as_of,
        split,
        embargo_bars,
        window_bars,
        window_starts_at,
        coalesce(pooled_window_starts_at, window_starts_at)
            as pooled_window_starts_at,
        fit_labels_end_before,
        validation_starts_at,
        scope,
        created_at

    from {{ source('ml', 'training_cuts') }}

    where {{ is_not_after_as_of('as_of') }}

)

select * from training_cuts
