-- Features of the series that finer bars read, before these: their own rows of
-- `feature_rows` are made from what stands here, too.
{{ scaled_features(ref('int_bars_cut_into_blocks'), 'is_read_by_finer') }}
