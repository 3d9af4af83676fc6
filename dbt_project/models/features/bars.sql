-- Weeks are rolled up here and not in a step of their own, so that the loaded
-- bars are read and adjusted once for both.
{%- set columns = [
    'symbol_id', 'ticker', 'calendar', 'timeframe', 'bar_number',
    'session_date', 'opened_at', 'closed_at', 'open', 'high', 'low', 'close',
    'volume', 'adjusted_open', 'adjusted_high', 'adjusted_low',
    'adjusted_close', 'adjusted_volume', 'higher_timeframe',
    'higher_bar_number', 'max_recorded_at', 'batch_id',
] %}

with

loaded as (

    select {{ columns | join(', ') }}

    from {{ ref('int_bars_adjusted') }}

),

sessions as (

    select
        calendar,
        session_number,
        week_number

    from {{ ref('int_sessions_numbered_by_week') }}

),

weeks as (

    select
        calendar,
        week_number,
        first_session_number,
        last_session_number,
        session_date,
        opened_at,
        closed_at,
        n_sessions

    from {{ ref('int_weeks_grouped_from_sessions') }}

),

-- A week's bar exists only when all its sessions have one: a partial week is a
-- hole in the grid, never a shorter bar.
rolled_up as (

    select
        loaded.symbol_id,
        loaded.ticker,
        loaded.calendar,
        weeks.week_number as bar_number,
        weeks.session_date,
        weeks.opened_at,
        weeks.closed_at,
        max(
            case
                when loaded.bar_number = weeks.first_session_number
                    then loaded.adjusted_open
            end
        ) as adjusted_open,
        max(loaded.adjusted_high) as adjusted_high,
        min(loaded.adjusted_low) as adjusted_low,
        max(
            case
                when loaded.bar_number = weeks.last_session_number
                    then loaded.adjusted_close
            end
        ) as adjusted_close,
        sum(loaded.adjusted_volume) as adjusted_volume,
        max(
            case
                when loaded.bar_number = weeks.last_session_number
                    then loaded.close
            end
        ) as close,
        max(
            case
                when loaded.bar_number = weeks.last_session_number
                    then
                        loaded.volume
                        / nullif(loaded.adjusted_volume, 0)
            end
        ) as shares_per_adjusted_share,
        max(loaded.max_recorded_at) as max_recorded_at,
        max(loaded.batch_id) as batch_id

    from loaded

    inner join sessions
        on
            loaded.calendar = sessions.calendar
            and loaded.bar_number = sessions.session_number

    inner join weeks
        on
            sessions.calendar = weeks.calendar
            and sessions.week_number = weeks.week_number

    where loaded.timeframe = 'd1'

    group by
        loaded.symbol_id,
        loaded.ticker,
        loaded.calendar,
        weeks.week_number,
        weeks.session_date,
        weeks.opened_at,
        weeks.closed_at,
        weeks.n_sessions

    having count(*) = weeks.n_sessions

),

-- As traded means on the basis of the week's last session: a split inside the
-- week would otherwise leave its high and low on two bases.
weekly as (

    select
        symbol_id,
        ticker,
        calendar,
        cast('w1' as text) as timeframe,
        cast(bar_number as integer) as bar_number,
        session_date,
        opened_at,
        closed_at,
        adjusted_open * (close / adjusted_close) as open,
        -- Rounding must not leave the close outside its own range.
        greatest(adjusted_high * (close / adjusted_close), close) as high,
        least(adjusted_low * (close / adjusted_close), close) as low,
        close,
        adjusted_volume * coalesce(shares_per_adjusted_share, 1) as volume,
        adjusted_open,
        adjusted_high,
        adjusted_low,
        adjusted_close,
        adjusted_volume,
        cast(null as text) as higher_timeframe,
        cast(null as integer) as higher_bar_number,
        max_recorded_at,
        batch_id

    from rolled_up

),

combined as (

    select * from loaded

    union all

    select {{ columns | join(', ') }}

    from weekly

)

select * from combined
