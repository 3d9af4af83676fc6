{#
    Rows whose floating-point `column_name` is null, NaN or infinite. Postgres
    sorts NaN above infinity, so both bounds together exclude all three.
#}
{% test not_null_or_nan(model, column_name) %}

select {{ column_name }}
from {{ model }}
where not coalesce(abs({{ column_name }}) < {{ infinity() }}, false)

{% endtest %}
