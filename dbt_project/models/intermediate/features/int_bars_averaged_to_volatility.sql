-- The variance to expect of a bar at its own place and of a whole session: the
-- mean squared move of the last bars or, intraday, the session profile. Null
-- unless the window is whole and enough of it was observed. Beside it what the
-- scale of a forecast is made from, neutral where its longer windows are not.
{%- set window_bars = var('volatility_window_bars') | int(20) -%}
{%- set longest_bars = var('longest_lookback_bars') | int(60) -%}
{%- set candle_spans = (
    [1, 3, 8, window_bars, longest_bars] | unique | list
) -%}
{%- set mean_candle = 'mean_candle_' ~ window_bars -%}
{%- set own_terms = [
    log_surprise('mean_candle_1', mean_candle),
    log_surprise('mean_candle_3', mean_candle),
    log_surprise('mean_candle_8', mean_candle),
    log_variance_ratio(
        'case when is_longest_known then mean_candle_' ~ longest_bars ~ ' end',
        mean_candle
    ),
    log_variance_level(mean_candle),
] %}

with

bars as (

    select
        block_id,
        bar_number,
        observed_bar_number,
        adjusted_open,
        adjusted_high,
        adjusted_low,
        adjusted_close,
        series_number,
        min_window_share,
        is_run_up,
        is_carried,
        closed_at,
        full_session_bars,
        place_variance,
        profile_variance,
        {{ scale_terms() | join(',\n        ') }},
        batch_id

    from {{ ref('int_bars_cut_into_blocks') }}

),

measured as (

    select
        *,
        {{ move_per_bar('adjusted_close') }} as move,
        case
            when not is_carried
                then {{ candle_variance(
                    per_bar_spanned(
                        'ln(adjusted_open / '
                        ~ trailing_value('adjusted_close', 1) ~ ')'
                    ),
                    'ln(adjusted_high / adjusted_low)',
                    'ln(adjusted_close / adjusted_open)'
                ) }}
        end as candle_variance

    from bars

),

accumulated as (

    select
        *,
        {{ running_sum('move * move') }} as squared_moves,
        {{ running_sum('candle_variance') }} as candle_variances,
        {{ running_count('not is_carried') }} as n_observed

    from measured

),

averaged as (

    select
        *,
        {{ trailing_sum('squared_moves', window_bars) }}
            as squared_moves_in_window,
        {{ trailing_sum('n_observed', window_bars) }} as n_observed_in_window,
        {% for bars in candle_spans -%}
            ({{ trailing_sum('candle_variances', bars) }})
            / nullif({{ trailing_sum('n_observed', bars) }}, 0)
                as mean_candle_{{ bars }},
        {% endfor -%}
        {{ trailing_bars_are_whole(window_bars) }} as has_no_long_hole,
        {{ trailing_bars_are_whole(longest_bars) }} as is_longest_known

    from accumulated

),

weighed as (

    select
        *,
        -- A carried bar has no move of its own, so it counts in no mean.
        squared_moves_in_window / n_observed_in_window as mean_squared_move,
        has_no_long_hole
        and n_observed_in_window / {{ window_bars }}
        >= min_window_share as is_whole

    from averaged

    where not is_run_up and not is_carried

),

expected as (

    select
        series_number,
        bar_number,
        closed_at,
        adjusted_close,
        full_session_bars,
        batch_id,
        case
            when full_session_bars > 1 then place_variance
            when is_whole then mean_squared_move
        end as place_variance,
        case
            when full_session_bars > 1 then profile_variance
            when is_whole then mean_squared_move
        end as session_variance,
        {{ mean_candle }} as candle_variance,
        {{ of_profile_or_own(
            'recent_surprise', own_terms[0]
        ) }} as recent_surprise,
        {{ of_profile_or_own(
            'session_surprise', own_terms[1]
        ) }} as session_surprise,
        {{ of_profile_or_own('week_surprise', own_terms[2]) }} as week_surprise,
        {{ of_profile_or_own('candle_trend', own_terms[3]) }} as candle_trend,
        {{ of_profile_or_own('candle_level', own_terms[4]) }} as candle_level

    from weighed

)

select * from expected
