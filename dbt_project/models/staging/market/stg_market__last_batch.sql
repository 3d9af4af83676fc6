-- The last load that this build sees. What is committed while it runs is for
-- the next: half of it would be in by then, and the watermark past the rest.
-- Only batches after the watermark are looked through.
{%- set watermark = watermark('bars') %}

with

batches as (

    select max(batch_id) as batch_id

    from {{ source('market', 'bars') }}

    where batch_id > {{ watermark }}

    union all

    select max(batch_id) as batch_id

    from {{ source('market', 'adjustments') }}

    where batch_id > {{ watermark }}

),

last_batch as (

    select coalesce(max(batch_id), {{ watermark }}) as batch_id

    from batches

)

select * from last_batch
