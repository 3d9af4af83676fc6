{#
    Whether the label of an example crosses its cut: that of a fit row ends
    within the embargo before validation or later, a validation row begins
    before it, or its label ends after the last bar that the cut may know.
    All in bars of the grid, `boundaries` as int_cuts_counted_to_boundaries has
    them.
#}
{% macro crosses_its_cut(examples, boundaries) -%}
    (
        (
            {{ examples }}.split_part = 'fit'
            and {{ examples }}.bar_number
            + {{ examples }}.horizon_bars
            + {{ boundaries }}.embargo_bars
            > {{ boundaries }}.validation_bar_number
        )
        or (
            {{ examples }}.split_part = 'validation'
            and (
                {{ examples }}.bar_number
                < {{ boundaries }}.validation_bar_number
                or {{ examples }}.bar_number + {{ examples }}.horizon_bars
                > {{ boundaries }}.last_known_bar_number
            )
        )
    )
{%- endmacro %}
