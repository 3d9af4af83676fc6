{#
    Side of the cut that a label falls on: what is fitted on must have been
    settled before the first row it is judged on was known. Needs `labels` and
    `cuts` in scope.
#}
{% macro split_part() -%}
    case
        when labels.label_end_at < cuts.fit_labels_end_before then 'fit'
        when labels.closed_at >= cuts.validation_starts_at then 'validation'
        else 'purged'
    end
{%- endmacro %}
