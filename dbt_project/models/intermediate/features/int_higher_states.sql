-- What finer bars read of a series: its features at each bar's close.
{%- set features = higher_features() %}

with

due as (

    select
        series_number,
        symbol_id,
        timeframe

    from {{ ref('int_series_due') }}

),

scaled as (

    {{ scaled_features(ref('int_bars_cut_into_blocks'), 'is_read_by_finer') }}

),

states as (

    select
        due.symbol_id,
        due.timeframe,
        scaled.bar_number,
        scaled.closed_at,
        scaled.is_volatility_window_whole
        and scaled.session_variance is not null as is_window_whole,
        scaled.max_recorded_at,
        {% for feature in features -%}
            scaled.{{ feature | replace('higher_', '') }} as {{ feature }}
            {{- ',' if not loop.last }}
        {% endfor %}

    from scaled

    inner join due
        on scaled.series_number = due.series_number

)

select * from states
