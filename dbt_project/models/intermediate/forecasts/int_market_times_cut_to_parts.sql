{#- Sessions of the rolling window, the last one included. -#}
{%- set window_sessions = 60 -%}

with

times as (

    select * from {{ ref('int_outcomes_summed_to_market_times') }}

),

-- Turbulence is the market's at the time: the mean volatility expected of all
-- series, in thirds of the times on record.
ranked as (

    select
        *,
        ntile(3) over (
            partition by
                calendar, timeframe, horizon, mean_expected_volatility is null
            order by mean_expected_volatility asc
        ) as volatility_third,
        session_number > max(session_number) over (
            partition by calendar, timeframe, horizon
        ) - {{ window_sessions }} as is_in_window

    from times

),

cut as (

    select
        *,
        case
            when mean_expected_volatility is not null
                then case volatility_third
                    when 1 then 'calm'
                    when 2 then 'middle'
                    else 'turbulent'
                end
        end as turbulence

    from ranked

)

select * from cut
