-- The macro alone, on days around a cut whose embargo is two bars: labels of
-- fit end before day 3, validation starts with day 4.
with

cuts as (

    select
        date '2024-01-03' as fit_labels_end_before,
        date '2024-01-04' as validation_starts_at

),

labels as (

    select
        date '2024-01-01' as closed_at,
        date '2024-01-02' as label_end_at,
        'fit' as expected_part

    union all

    select
        date '2024-01-01' as closed_at,
        date '2024-01-03' as label_end_at,
        'purged' as expected_part

    union all

    select
        date '2024-01-03' as closed_at,
        date '2024-01-04' as label_end_at,
        'purged' as expected_part

    union all

    select
        date '2024-01-04' as closed_at,
        date '2024-01-05' as label_end_at,
        'validation' as expected_part

),

divided as (

    select
        labels.*,
        {{ split_part() }} as split_part

    from labels

    cross join cuts

),

wrong as (

    select * from divided

    where split_part <> expected_part

)

select * from wrong
