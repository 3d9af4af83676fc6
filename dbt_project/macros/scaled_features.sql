{#
    Features of the own bars of some series: those of `blocks`
    (int_bars_cut_into_blocks) for which `condition` holds. Moves and distances
    are in units of the volatility to expect over as many bars; nothing carries
    the scale of a price. Whatever divides by nothing is null and makes the row
    unusable later.

    Carried bars stand in their places for what looks at closes. What was not
    observed has no move, range or volume to count: means are over the observed
    bars of a window, sums are as many times these as the window has bars.

    All steps stand in one statement, because between views the order of the
    rows would be lost and sorted anew for each. It is a macro, because what
    finer bars read is computed before the rest; by a condition outside, all
    would be computed for it.
#}
{% macro scaled_features(blocks, condition='true') -%}
{%- set longest_bars = var('longest_lookback_bars') | int(60) -%}
{%- set window_bars = var('volatility_window_bars') | int(20) -%}
{%- set features = (
    feature_definitions() | selectattr(4, 'ne', none) | list
) -%}
{%- set spans = [1, 2, 5, 10, 20, 60] -%}
{%- set looks_back = (
    [2, 5, 10, 14, 20, 40, 60, window_bars, longest_bars] | unique | sort
) -%}
{%- set pieces = [
    'n_observed', 'squared_moves', 'absolute_moves', 'gains', 'squared_losses',
    'squared_ranges', 'garman_klass_variances', 'closes', 'volumes',
    'log_closes', 'placed_log_closes', 'place_variances', 'high_20', 'low_20',
    'log_close', 'place_in_block',
] -%}
{%- set spans_observed = (
    [5, 10, 14, 20, 60, window_bars, longest_bars] | unique | sort
) -%}
{%- set observed_sums = {
    'squared_moves': [5, 20, 60, window_bars] | unique | list,
    'squared_ranges': [5, 20, 60],
    'garman_klass_variances': [5, 20],
    'squared_losses': [20],
} -%}
{%- set observed_means = {'absolute_moves': [5, 20], 'volumes': [5, 20]} -%}
{%- set passed_on = [
    'block_id', 'series_number', 'is_looked_back_at', 'is_row_due',
    'is_carried', 'min_window_share', 'bar_number', 'session_date', 'place_in_session', 'session_bars',
    'full_session_bars', 'closed_at', 'close', 'adjusted_close',
    'adjusted_volume', 'place_variance', 'profile_variance',
    'profile_recorded_at', 'ahead_variance', 'ahead_recent_variance',
    'ahead_range_variance', 'higher_bar_number', 'batch_id',
] %}

with

bars as (

    select
        adjusted_open,
        adjusted_high,
        adjusted_low,
        max_recorded_at,
        observed_bar_number,
        {{ passed_on | join(',\n        ') }}

    from {{ blocks }}

    where {{ condition }}

),

-- What one bar says by itself and against the bar before it, in log prices.
-- Closes in units of the block's first: small numbers keep their digits.
measured as (

    select
        cast(
            bar_number - {{ first_in_block('bar_number') }} as double precision
        ) as place_in_block,
        adjusted_close / {{ first_in_block('adjusted_close') }}
            as relative_close,
        {{ bars_spanned() }} as bars_spanned,
        {{ move_per_bar('adjusted_close') }} as move,
        {{ per_bar_spanned(
            'ln(adjusted_open / ' ~ trailing_value('adjusted_close', 1) ~ ')'
        ) }} as gap,
        ln(adjusted_close / adjusted_open) as body,
        ln(adjusted_high / adjusted_low) as log_range,
        ln(
            adjusted_high / greatest(adjusted_open, adjusted_close)
        ) as upper_shadow,
        ln(
            least(adjusted_open, adjusted_close) / adjusted_low
        ) as lower_shadow,
        {{ trailing_extreme('greatest', 'adjusted_high', 1, 4) }} as high_4,
        {{ trailing_extreme('least', 'adjusted_low', 1, 4) }} as low_4,
        {{ trailing_extreme('greatest', 'max_recorded_at', 1, 4) }}
            as recorded_at_4,
        {{ passed_on | join(',\n        ') }}

    from bars

),

shaped as (

    select
        *,
        ln(relative_close) as log_close,
        -- Garman and Klass (1980), estimator 7 without its cross terms.
        0.5 * log_range * log_range
        - (2 * ln(2.0) - 1) * body * body as garman_klass_variance

    from measured

),

-- Running sums along each block and extremes of some bars: the pieces that
-- longer windows are put together from, in one value. They stand first, because
-- a row is unpacked up to the column that a window asks for.
accumulated as (

    select
        {{ packed([
            running_count('not is_carried'),
            running_sum('move * move'),
            running_sum('abs(move)'),
            running_sum('greatest(move, 0)'),
            running_sum('least(move, 0) * least(move, 0)'),
            running_sum('log_range * log_range'),
            running_sum('garman_klass_variance'),
            running_sum('relative_close'),
            running_sum('adjusted_volume'),
            running_sum('log_close'),
            running_sum('place_in_block * log_close'),
            running_sum('place_variance'),
            trailing_extreme('greatest', 'high_4', 4, 20),
            trailing_extreme('least', 'low_4', 4, 20),
            'log_close',
            'place_in_block',
        ]) }} as pieces,
        {{ trailing_extreme('greatest', 'recorded_at_4', 4, 20) }}
            as recorded_at_20,
        move,
        bars_spanned,
        {{ trailing_extreme('greatest', 'high_4', 4, 5) }} as high_5,
        {{ trailing_extreme('least', 'low_4', 4, 5) }} as low_5,
        gap,
        body,
        log_range,
        upper_shadow,
        lower_shadow,
        {{ passed_on | join(',\n        ') }}

    from shaped

),

looked_back as (

    select
        *,
        {% for bars in looks_back -%}
            {{ trailing_value('pieces', bars) }} as pieces_{{ bars }},
        {% endfor -%}
        -- A move across a hole is one of as many equal ones.
        case
            when bars_spanned > 1 then move
            else {{ trailing_value('move', 1) }}
        end as previous_move,
        -- Of all bars that the longest window looks at.
        {{ trailing_extreme(
            'greatest', 'recorded_at_20', 20, longest_bars + 1
        ) }} as last_recorded_at

    from accumulated

    -- Sums need the whole block, what looks back at them its last bars only.
    where is_looked_back_at

),

-- Every moving window that a feature needs, one column each.
windowed as (

    select
        {% for bars in spans_observed -%}
            {{ sum_of_pieces(pieces, 'n_observed', bars) }}
                as n_observed_{{ bars }},
        {% endfor -%}
        {% for observed in [observed_sums, observed_means] -%}
            {% for name, windows in observed.items() -%}
                {% for bars in windows -%}
                    {{ sum_of_pieces(pieces, name, bars) }}
                        as observed_{{ name }}_{{ bars }},
                {% endfor -%}
            {% endfor -%}
        {% endfor -%}
        {% for bars in [5, 10, 20, 60] -%}
            ({{ sum_of_pieces(pieces, 'closes', bars) }}) / {{ bars }}
                as mean_close_{{ bars }},
        {% endfor -%}
        {% for bars in spans[1:] -%}
            {{ sum_of_pieces(pieces, 'log_close', bars) }} as move_{{ bars }},
            {{ sum_of_pieces(pieces, 'place_variances', bars) }}
                as place_variance_{{ bars }},
        {% endfor -%}
        {% for bars in [20, 60] -%}
            {{ sum_of_pieces(pieces, 'log_closes', bars) }}
                as log_closes_{{ bars }},
            {{ sum_of_pieces(pieces, 'placed_log_closes', bars) }}
                as placed_log_closes_{{ bars }},
        {% endfor -%}
        {{ sum_of_pieces(pieces, 'gains', 14) }} as gains_14,
        {{ sum_of_pieces(pieces, 'absolute_moves', 14) }} as absolute_moves_14,
        {% for bars in [window_bars, longest_bars] -%}
            {{ sum_of_pieces(pieces, 'place_in_block', bars) }} = {{ bars }}
                as has_no_long_hole_{{ bars }},
        {% endfor -%}
        greatest(
            {{ piece(pieces, 'high_20') }},
            {{ piece(pieces, 'high_20', 20) }},
            {{ piece(pieces, 'high_20', 40) }}
        ) as high_60,
        least(
            {{ piece(pieces, 'low_20') }},
            {{ piece(pieces, 'low_20', 20) }},
            {{ piece(pieces, 'low_20', 40) }}
        ) as low_60,
        {% for name in ['high_20', 'low_20', 'log_close', 'place_in_block'] -%}
            {{ piece(pieces, name) }} as {{ name }},
        {% endfor -%}
        high_5,
        low_5,
        move,
        previous_move,
        gap,
        body,
        log_range,
        upper_shadow,
        lower_shadow,
        last_recorded_at as max_recorded_at,
        {{ passed_on | join(',\n        ') }}

    from looked_back

    where is_row_due

    {{ computed_once() }}

),

-- The window's last bar is observed, so that none of these divides by nothing.
weighed as (

    select
        *,
        {% for name, windows in observed_sums.items() -%}
            {% for bars in windows -%}
                observed_{{ name }}_{{ bars }}
                * ({{ bars }} / n_observed_{{ bars }}) as {{ name }}_{{ bars }},
            {% endfor -%}
        {% endfor -%}
        {% for name, windows in observed_means.items() -%}
            {% for bars in windows -%}
                observed_{{ name }}_{{ bars }} / n_observed_{{ bars }}
                    as mean_{{ name[:-1] }}_{{ bars }},
            {% endfor -%}
        {% endfor -%}
        observed_squared_moves_{{ window_bars }} / n_observed_{{ window_bars }}
            as mean_squared_move,
        -- Every window by itself: of the last five bars, too, nearly all were
        -- observed.
        {% for window, bars, windows in [
            ('volatility', window_bars, [window_bars]),
            ('higher', window_bars, spans_observed | select('le', window_bars)),
            ('longest', longest_bars, spans_observed),
        ] -%}
            has_no_long_hole_{{ bars }}
            {%- for observed in windows %}
            and n_observed_{{ observed }} / {{ observed }} >= min_window_share
            {%- endfor %} as is_{{ window }}_window_whole,
        {% endfor -%}
        {{ longest_bars }} - n_observed_{{ longest_bars }} as n_carried_bars

    from windowed

),

-- The least-squares slope on the places t - k + 1 to t: their mean is
-- t - (k - 1) / 2 and their squared distances from it add up to
-- k (k^2 - 1) / 12.
expected as (

    select
        *,
        -- By the window of the volume features: whether a series will ever
        -- have volume is not known at its first bars.
        coalesce(mean_volume_20 > 0, adjusted_volume > 0) as has_volume,
        {% for bars in [20, 60] -%}
            (
                placed_log_closes_{{ bars }}
                - (place_in_block - {{ (bars - 1) / 2 }})
                * log_closes_{{ bars }}
            ) / {{ bars * (bars * bars - 1) / 12 }} as slope_{{ bars }},
        {% endfor -%}
        case
            when full_session_bars > 1 then place_variance
            when is_volatility_window_whole then mean_squared_move
        end as variance_1,
        case
            when full_session_bars > 1 then profile_variance
            when is_volatility_window_whole then mean_squared_move
        end as session_variance

    from weighed

),

-- Of whole sessions where the span is as long, else of the bars' own places,
-- which must all be known.
spanned as (

    select
        *,
        {% for bars in spans[1:] -%}
            case
                when full_session_bars <= {{ bars }}
                    then session_variance * {{ bars }} / full_session_bars
                else place_variance_{{ bars }}
            end as variance_{{ bars }},
        {% endfor -%}
        {{ volatility_of('variance_1', 1) }} as volatility_1

    from expected

),

rooted as (

    select
        *,
        {% for bars in spans[1:] -%}
            case
                when volatility_1 is not null then sqrt(variance_{{ bars }})
            end as volatility_{{ bars }}
            {{- ',' if not loop.last }}
        {% endfor %}

    from spanned

    {{ computed_once() }}

),

scaled as (

    select
        series_number,
        bar_number,
        session_date,
        closed_at,
        close as reference_close,
        adjusted_volume,
        has_volume,
        volatility_1,
        session_variance,
        is_higher_window_whole,
        is_longest_window_whole,
        n_carried_bars,
        higher_bar_number,
        greatest(
            max_recorded_at, coalesce(profile_recorded_at, max_recorded_at)
        ) as max_recorded_at,
        batch_id,
        {% for feature, family, lookback_bars, unit, formula in features -%}
            {{ formula }} as {{ feature }}
            {{- ',\n        ' if not loop.last }}
        {%- endfor %}

    from rooted

)

select * from scaled
{%- endmacro %}
