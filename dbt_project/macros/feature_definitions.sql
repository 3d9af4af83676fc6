{#
    Every feature that members are fitted on, in column order: the one list that
    the feature table, the examples and the catalogue are made from. What each
    measures and why is in models/features/_features__columns.md. A tuple holds
    the feature's name, its family, its look-back, its unit and its formula over
    the windows of `scaled_features`; the state of the next higher timeframe has
    none of its own.

    The look-back counts bars before the row's own, nested windows included.
    Intraday, expected volatility looks back 40 sessions besides.

    With one place in the session, realised and expected volatility are the same
    number; where all places of the session are ahead, they are the session
    itself. Parkinson (1980): the variance is the squared range / (4 ln 2).
#}
{% macro feature_definitions() %}
    {% set places_ahead = var('profile_places_ahead') | int(4) %}
    {% set definitions = [
        (
            'return_1', 'returns', 20, 'expected volatilities',
            'move / volatility_1',
        ),
        (
            'return_2', 'returns', 20, 'expected volatilities',
            'move_2 / volatility_2',
        ),
        (
            'return_5', 'returns', 20, 'expected volatilities',
            'move_5 / volatility_5',
        ),
        (
            'return_10', 'returns', 20, 'expected volatilities',
            'move_10 / volatility_10',
        ),
        (
            'return_20', 'returns', 20, 'expected volatilities',
            'move_20 / volatility_20',
        ),
        (
            'return_60', 'returns', 60, 'expected volatilities',
            'move_60 / volatility_60',
        ),
        (
            'absolute_return_1', 'absolute moves', 20, 'expected volatilities',
            'abs(move) / volatility_1',
        ),
        (
            'absolute_return_5', 'absolute moves', 20, 'expected volatilities',
            'mean_absolute_move_5 * sqrt(5.0) / volatility_5',
        ),
        (
            'absolute_return_20', 'absolute moves', 20, 'expected volatilities',
            'mean_absolute_move_20 * sqrt(20.0) / volatility_20',
        ),
        (
            'previous_absolute_return_1', 'absolute moves', 20, 'expected volatilities',
            'abs(previous_move) / volatility_1',
        ),
        (
            'overnight_gap', 'gap', 20, 'expected volatilities',
            'gap / volatility_1',
        ),
        (
            'volatility_ratio_5_20', 'volatility', 20, 'log ratio',
            half_log_ratio(
                'squared_moves_5 / nullif(variance_5, 0)',
                'squared_moves_20 / nullif(variance_20, 0)'
            ),
        ),
        (
            'volatility_ratio_20_60', 'volatility', 60, 'log ratio',
            half_log_ratio(
                'squared_moves_20 / nullif(variance_20, 0)',
                'squared_moves_60 / nullif(variance_60, 0)'
            ),
        ),
        (
            'realized_to_expected_20', 'volatility', 20, 'log ratio',
            'case when full_session_bars = 1 then 0 else '
                ~ half_log_ratio('squared_moves_20', 'variance_20') ~ ' end',
        ),
        (
            'parkinson_ratio_5_20', 'volatility', 20, 'log ratio',
            half_log_ratio(
                'squared_ranges_5 / nullif(variance_5, 0)',
                'squared_ranges_20 / nullif(variance_20, 0)'
            ),
        ),
        (
            'parkinson_ratio_20_60', 'volatility', 60, 'log ratio',
            half_log_ratio(
                'squared_ranges_20 / nullif(variance_20, 0)',
                'squared_ranges_60 / nullif(variance_60, 0)'
            ),
        ),
        (
            'parkinson_to_realized_20', 'volatility', 20, 'log ratio',
            half_log_ratio(
                'squared_ranges_20 / (4 * ln(2.0))',
                'squared_moves_20'
            ),
        ),
        (
            'garman_klass_ratio_5_20', 'volatility', 20, 'log ratio',
            half_log_ratio(
                'garman_klass_variances_5 / nullif(variance_5, 0)',
                'garman_klass_variances_20 / nullif(variance_20, 0)'
            ),
        ),
        (
            'garman_klass_to_realized_20', 'volatility', 20, 'log ratio',
            half_log_ratio(
                'garman_klass_variances_20',
                'squared_moves_20'
            ),
        ),
        (
            'downside_share_20', 'volatility', 20, 'share',
            guarded_ratio('squared_losses_20', 'squared_moves_20'),
        ),
        (
            'distance_from_average_5', 'averages', 20, 'expected volatilities',
            '(log_close - ln(mean_close_5)) / volatility_5',
        ),
        (
            'distance_from_average_10', 'averages', 20, 'expected volatilities',
            '(log_close - ln(mean_close_10)) / volatility_10',
        ),
        (
            'distance_from_average_20', 'averages', 20, 'expected volatilities',
            '(log_close - ln(mean_close_20)) / volatility_20',
        ),
        (
            'distance_from_average_60', 'averages', 60, 'expected volatilities',
            '(log_close - ln(mean_close_60)) / volatility_60',
        ),
        (
            'range_place_5', 'range', 4, 'share',
            guarded_ratio(
                'adjusted_close - low_5', 'high_5 - low_5'
            ),
        ),
        (
            'range_place_20', 'range', 19, 'share',
            guarded_ratio(
                'adjusted_close - low_20', 'high_20 - low_20'
            ),
        ),
        (
            'range_place_60', 'range', 59, 'share',
            guarded_ratio(
                'adjusted_close - low_60', 'high_60 - low_60'
            ),
        ),
        (
            'rsi_14', 'momentum', 14, 'share',
            guarded_ratio('gains_14', 'absolute_moves_14'),
        ),
        (
            'trend_slope_20', 'momentum', 20, 'expected volatilities',
            'slope_20 * 20 / volatility_20',
        ),
        (
            'trend_slope_60', 'momentum', 60, 'expected volatilities',
            'slope_60 * 60 / volatility_60',
        ),
        (
            'volume_ratio_20', 'volume', 19, 'log ratio',
            'case when has_volume then '
                ~ guarded_log('adjusted_volume')
                ~ ' - ' ~ guarded_log('mean_volume_20')
                ~ ' else 0 end',
        ),
        (
            'volume_ratio_5_20', 'volume', 19, 'log ratio',
            'case when has_volume then '
                ~ guarded_log('mean_volume_5')
                ~ ' - ' ~ guarded_log('mean_volume_20')
                ~ ' else 0 end',
        ),
        (
            'candle_body', 'candle', 20, 'expected volatilities',
            'body / volatility_1',
        ),
        (
            'candle_range', 'candle', 20, 'expected volatilities',
            'log_range / volatility_1',
        ),
        (
            'upper_shadow', 'candle', 20, 'expected volatilities',
            'upper_shadow / volatility_1',
        ),
        (
            'lower_shadow', 'candle', 20, 'expected volatilities',
            'lower_shadow / volatility_1',
        ),
        (
            'minute_of_day', 'calendar', 0, 'minutes',
            'cast(' ~ utc_minute_of_day('closed_at') ~ ' as double precision)',
        ),
        (
            'place_in_session', 'calendar', 0, 'share',
            'cast(place_in_session as double precision) / session_bars',
        ),
        (
            'place_volatility', 'calendar', 20, 'log ratio',
            half_log_ratio(
                'variance_1 * full_session_bars', 'session_variance'
            ),
        ),
        (
            'ahead_place_volatility', 'places ahead', 20, 'log ratio',
            'case when full_session_bars <= ' ~ places_ahead ~ ' then 0 else '
                ~ half_log_ratio(
                    'ahead_variance * full_session_bars',
                    'session_variance * ' ~ places_ahead
                ) ~ ' end',
        ),
        (
            'ahead_volatility_ratio_5_20', 'places ahead', 20, 'log ratio',
            'case when full_session_bars = 1 then 0 else '
                ~ half_log_ratio('ahead_recent_variance', 'ahead_variance')
                ~ ' end',
        ),
        (
            'ahead_parkinson_to_realized_20', 'places ahead', 20, 'log ratio',
            'case when full_session_bars = 1 then 0 else '
                ~ half_log_ratio(
                    'ahead_range_variance / (4 * ln(2.0))', 'ahead_variance'
                ) ~ ' end',
        ),
        (
            'weekday', 'calendar', 0, 'days',
            "date_part('isodow', session_date)",
        ),
        (
            'higher_return_1', 'higher timeframe', 20, 'expected volatilities',
            none,
        ),
        (
            'higher_return_5', 'higher timeframe', 20, 'expected volatilities',
            none,
        ),
        (
            'higher_return_20', 'higher timeframe', 20, 'expected volatilities',
            none,
        ),
        (
            'higher_volatility_ratio_5_20', 'higher timeframe', 20, 'log ratio',
            none,
        ),
        (
            'higher_distance_from_average_20', 'higher timeframe', 20, 'expected volatilities',
            none,
        ),
        (
            'higher_range_place_20', 'higher timeframe', 19, 'share',
            none,
        ),
        (
            'higher_rsi_14', 'higher timeframe', 14, 'share',
            none,
        ),
    ] %}
    {{ return(definitions) }}
{% endmacro %}


{#
    The state of the next higher timeframe that a row reads, in column order:
    names and neutral values, the middle of a share and else none of either.
#}
{% macro higher_features() %}
    {% set states = [] %}
    {% for feature, family, lookback_bars, unit, formula
        in feature_definitions() %}
        {% if family == 'higher timeframe' %}
            {% do states.append((feature, 0.5 if unit == 'share' else 0)) %}
        {% endif %}
    {% endfor %}
    {{ return(states) }}
{% endmacro %}
