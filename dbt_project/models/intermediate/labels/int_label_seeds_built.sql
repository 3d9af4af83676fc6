-- Empty when it is made: rows come from the hook of `labels`, in the same
-- transaction as the labels that were built by them.
select
    cast(null as text) as calendar,
    cast(null as text) as timeframe,
    cast(null as text) as horizon,
    cast(null as integer) as horizon_bars,
    cast(null as text) as rule,
    cast(null as double precision) as rule_value,
    cast(null as integer) as max_hole_bars,
    cast(null as double precision) as min_window_share,
    cast(null as double precision) as min_parts_share,
    cast(null as text) as scale_weights

where false
