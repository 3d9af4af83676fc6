-- Empty when it is made: rows come from the hook of `bars`, in the same
-- transaction as the bars.
select cast(null as text) as timeframe

where false
