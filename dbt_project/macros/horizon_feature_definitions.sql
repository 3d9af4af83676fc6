{#
    Features that each horizon of a row has its own number of, in column order,
    behind those of the row: name, family, look-back, unit and formula over the
    columns of `horizon_scales`. They stand in the examples alone.

    A forecast of volatility that has not warmed up says nothing, and 0 is what
    says nothing.
#}
{% macro horizon_feature_definitions() %}
    {% set definitions = [
        (
            'forecast_to_expected', 'volatility', 60, 'log ratio',
            'coalesce('
            ~ guarded_log('forecast_volatility')
            ~ ' - '
            ~ guarded_log('expected_volatility')
            ~ ', 0)',
        ),
    ] %}
    {{ return(definitions) }}
{% endmacro %}
