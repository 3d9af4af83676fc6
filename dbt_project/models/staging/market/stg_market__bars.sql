with

newest_records as (

    select
        records.symbol_id,
        records.timeframe,
        records.opened_at,
        records.closed_at,
        records.open,
        records.high,
        records.low,
        records.close,
        records.volume,
        records.recorded_at,
        records.source,
        records.batch_id

    from {{ source('market', 'bars') }} as records

    -- The batch id rises in commit order; a timestamp could tie or run back.
    left join {{ source('market', 'bars') }} as later_records
        on
            records.symbol_id = later_records.symbol_id
            and records.timeframe = later_records.timeframe
            and records.opened_at = later_records.opened_at
            and records.batch_id < later_records.batch_id
            and {{ is_known(
                'later_records.recorded_at',
                'later_records.batch_id',
                closed_at='later_records.closed_at'
            ) }}

    where
        later_records.batch_id is null
        and {{ is_known(
            'records.recorded_at',
            'records.batch_id',
            closed_at='records.closed_at'
        ) }}
        and {{ is_possible_bar('records') }}

)

select * from newest_records
