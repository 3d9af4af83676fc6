-- A week's bar exists only when all its sessions have one: a partial week is a
-- hole in the grid, never a shorter bar.
with

daily_bars as (

    select *

    from {{ ref('int_bars_adjusted') }}

    where timeframe = 'd1'

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

rolled_up as (

    select
        daily_bars.symbol_id,
        daily_bars.ticker,
        daily_bars.calendar,
        weeks.week_number as bar_number,
        weeks.session_date,
        weeks.opened_at,
        weeks.closed_at,
        max(
            case
                when daily_bars.bar_number = weeks.first_session_number
                    then daily_bars.adjusted_open
            end
        ) as adjusted_open,
        max(daily_bars.adjusted_high) as adjusted_high,
        min(daily_bars.adjusted_low) as adjusted_low,
        max(
            case
                when daily_bars.bar_number = weeks.last_session_number
                    then daily_bars.adjusted_close
            end
        ) as adjusted_close,
        sum(daily_bars.adjusted_volume) as adjusted_volume,
        max(
            case
                when daily_bars.bar_number = weeks.last_session_number
                    then daily_bars.close
            end
        ) as close,
        max(
            case
                when daily_bars.bar_number = weeks.last_session_number
                    then
                        daily_bars.volume
                        / nullif(daily_bars.adjusted_volume, 0)
            end
        ) as shares_per_adjusted_share,
        max(daily_bars.max_recorded_at) as max_recorded_at

    from daily_bars

    inner join sessions
        on
            daily_bars.calendar = sessions.calendar
            and daily_bars.bar_number = sessions.session_number

    inner join weeks
        on
            sessions.calendar = weeks.calendar
            and sessions.week_number = weeks.week_number

    group by
        daily_bars.symbol_id,
        daily_bars.ticker,
        daily_bars.calendar,
        weeks.week_number,
        weeks.session_date,
        weeks.opened_at,
        weeks.closed_at,
        weeks.n_sessions

    having count(*) = weeks.n_sessions

),

-- As traded means on the basis of the week's last session: a split inside the
-- week would otherwise leave its high and low on two bases.
on_the_basis_of_the_close as (

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
        max_recorded_at,
        cast(null as text) as higher_timeframe,
        cast(null as integer) as higher_bar_number

    from rolled_up

)

select * from on_the_basis_of_the_close
