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


{#
    Whether chance is ruled out: the interval of the accuracy lies below the
    baseline, and the margin is not normal. Null where data are insufficient.
#}
{% macro drift_detected(status, accuracy_upper, baseline_accuracy) -%}
    case
        when {{ status }} = 'insufficient_data' then cast(null as boolean)
        else
            {{ status }} <> 'normal'
            and {{ accuracy_upper }} < {{ baseline_accuracy }}
    end
{%- endmacro %}


{# What a status by the margin alone amounts to, in words. #}
{% macro drift_reading(status, drift_detected) -%}
    case
        when {{ status }} = 'insufficient_data' then 'too few to tell'
        when {{ status }} = 'normal' then 'as expected'
        when {{ drift_detected }} then 'below what was expected, beyond chance'
        else 'below what was expected, within chance'
    end
{%- endmacro %}
