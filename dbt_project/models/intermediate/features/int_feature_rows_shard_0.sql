{{ config(sql_header=without_merge_joins()) }}

{{ shard_of_feature_rows(0) }}
