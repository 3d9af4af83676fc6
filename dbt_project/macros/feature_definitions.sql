{#
    Every feature that members are fitted on, in column order: the one list that
    the feature table, the examples and the catalogue are made from. What each
    measures and why is in models/features/_features__columns.md. A tuple holds
    the feature's name, its family, its look-back and its unit.

    The look-back counts bars before the row's own, nested windows included.
    Intraday, expected volatility looks back 40 sessions besides.
#}
{% macro feature_definitions() %}
    {% set definitions = [
        ('return_1', 'returns', 20, 'expected volatilities'),
        ('return_2', 'returns', 20, 'expected volatilities'),
        ('return_5', 'returns', 20, 'expected volatilities'),
        ('return_10', 'returns', 20, 'expected volatilities'),
        ('return_20', 'returns', 20, 'expected volatilities'),
        ('return_60', 'returns', 60, 'expected volatilities'),
        ('absolute_return_1', 'absolute moves', 20, 'expected volatilities'),
        ('absolute_return_5', 'absolute moves', 20, 'expected volatilities'),
        ('absolute_return_20', 'absolute moves', 20, 'expected volatilities'),
        (
            'previous_absolute_return_1', 'absolute moves', 20, 'expected volatilities',
        ),
        ('overnight_gap', 'gap', 20, 'expected volatilities'),
        ('volatility_ratio_5_20', 'volatility', 20, 'log ratio'),
        ('volatility_ratio_20_60', 'volatility', 60, 'log ratio'),
        ('realized_to_expected_20', 'volatility', 20, 'log ratio'),
        ('parkinson_ratio_5_20', 'volatility', 20, 'log ratio'),
        ('parkinson_ratio_20_60', 'volatility', 60, 'log ratio'),
        ('parkinson_to_realized_20', 'volatility', 20, 'log ratio'),
        ('garman_klass_ratio_5_20', 'volatility', 20, 'log ratio'),
        ('garman_klass_to_realized_20', 'volatility', 20, 'log ratio'),
        ('downside_share_20', 'volatility', 20, 'share'),
        ('distance_from_average_5', 'averages', 20, 'expected volatilities'),
        ('distance_from_average_10', 'averages', 20, 'expected volatilities'),
        ('distance_from_average_20', 'averages', 20, 'expected volatilities'),
        ('distance_from_average_60', 'averages', 60, 'expected volatilities'),
        ('range_place_5', 'range', 4, 'share'),
        ('range_place_20', 'range', 19, 'share'),
        ('range_place_60', 'range', 59, 'share'),
        ('rsi_14', 'momentum', 14, 'share'),
        ('trend_slope_20', 'momentum', 20, 'expected volatilities'),
        ('trend_slope_60', 'momentum', 60, 'expected volatilities'),
        ('volume_ratio_20', 'volume', 19, 'log ratio'),
        ('volume_ratio_5_20', 'volume', 19, 'log ratio'),
        ('candle_body', 'candle', 20, 'expected volatilities'),
        ('candle_range', 'candle', 20, 'expected volatilities'),
        ('upper_shadow', 'candle', 20, 'expected volatilities'),
        ('lower_shadow', 'candle', 20, 'expected volatilities'),
        ('minute_of_day', 'calendar', 0, 'minutes'),
        ('place_in_session', 'calendar', 0, 'share'),
        ('place_volatility', 'calendar', 20, 'log ratio'),
        ('ahead_place_volatility', 'places ahead', 20, 'log ratio'),
        ('ahead_volatility_ratio_5_20', 'places ahead', 20, 'log ratio'),
        ('ahead_parkinson_to_realized_20', 'places ahead', 20, 'log ratio'),
        ('weekday', 'calendar', 0, 'days'),
        ('higher_return_1', 'higher timeframe', 20, 'expected volatilities'),
        ('higher_return_5', 'higher timeframe', 20, 'expected volatilities'),
        ('higher_return_20', 'higher timeframe', 20, 'expected volatilities'),
        ('higher_volatility_ratio_5_20', 'higher timeframe', 20, 'log ratio'),
        (
            'higher_distance_from_average_20',
            'higher timeframe',
            20,
            'expected volatilities',
        ),
        ('higher_range_place_20', 'higher timeframe', 19, 'share'),
        ('higher_rsi_14', 'higher timeframe', 14, 'share'),
    ] %}
    {{ return(definitions) }}
{% endmacro %}


{# The state of the next higher timeframe that a row reads, in column order. #}
{% macro higher_features() %}
    {% set names = [] %}
    {% for feature, family, lookback_bars, unit in feature_definitions() %}
        {% if family == 'higher timeframe' %}
            {% do names.append(feature) %}
        {% endif %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}
