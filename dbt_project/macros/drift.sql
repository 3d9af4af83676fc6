{#
    Accuracy less baseline. Rounded to twelve digits, so that 0.50 against 0.55
    is the threshold -0.05 and not the double just below it.
#}
{% macro drift_margin(accuracy, baseline_accuracy) -%}
    cast(
        cast({{ accuracy }} - {{ baseline_accuracy }} as decimal(18, 12))
        as double precision
    )
{%- endmacro %}


{#
    Status of a margin under the seed `drift_thresholds`, which must be in scope
    as `thresholds`. At `monitor_at` it is monitor, at `alert_below` still
    monitor, at `emergency_below` still alert.
#}
{% macro drift_status(drift_margin, n_predictions) -%}
    case
        when {{ n_predictions }} < thresholds.min_predictions
            then 'insufficient_data'
        when {{ drift_margin }} < thresholds.emergency_below then 'emergency'
        when {{ drift_margin }} < thresholds.alert_below then 'alert'
        when {{ drift_margin }} <= thresholds.monitor_at then 'monitor'
        when {{ drift_margin }} > thresholds.monitor_at then 'normal'
        else 'insufficient_data'
    end
{%- endmacro %}
