-- Computed in two halves, side by side: PostgreSQL gives windows one processor.
select * from {{ ref('int_feature_rows_shard_0') }}

union all

select * from {{ ref('int_feature_rows_shard_1') }}
