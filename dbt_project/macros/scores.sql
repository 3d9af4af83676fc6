{# Scores of one forecast, lower being better. #}

{#
    Brier score over the three classes, from 0 to 2. Needs the columns
    `<forecaster>_bearish` and so on beside `was_bearish` and so on.
#}
{% macro brier_score(forecaster) -%}
    {%- for class in ['bearish', 'neutral', 'bullish'] -%}
        ({{ forecaster }}_{{ class }} - was_{{ class }})
        * ({{ forecaster }}_{{ class }} - was_{{ class }})
        {{- '\n        + ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{#
    Interval score of a central band of `level` percent (Gneiting and Raftery
    2007): its width, and for an outcome outside 2 / alpha times the distance,
    alpha being the share that should lie outside.
#}
{% macro interval_score(outcome, lower, upper, level) -%}
    {{ upper }} - {{ lower }}
    + {{ 200 / (100 - level) }} * greatest({{ lower }} - {{ outcome }}, 0)
    + {{ 200 / (100 - level) }} * greatest({{ outcome }} - {{ upper }}, 0)
{%- endmacro %}


{#
    What a forecaster, given as the beginning of three columns, says of the
    class in the column `class`.
#}
{% macro of_class(class, forecaster) -%}
    case {{ class }}
        when 'BEARISH' then {{ forecaster }}_bearish
        when 'NEUTRAL' then {{ forecaster }}_neutral
        when 'BULLISH' then {{ forecaster }}_bullish
    end
{%- endmacro %}


{#
    The class with the largest probability; of equal ones the first in the order
    BEARISH, NEUTRAL, BULLISH.
#}
{% macro likeliest_class(forecaster) -%}
    case
        when
            {{ forecaster }}_bearish >= {{ forecaster }}_neutral
            and {{ forecaster }}_bearish >= {{ forecaster }}_bullish
            then 'BEARISH'
        when {{ forecaster }}_neutral >= {{ forecaster }}_bullish
            then 'NEUTRAL'
        else 'BULLISH'
    end
{%- endmacro %}


{# What a class adds to the entropy of a forecast: its expected log loss. #}
{% macro entropy_term(probability) -%}
    (-{{ probability }} * ln(greatest({{ probability }}, 1e-6)))
{%- endmacro %}
