{#
    The scale of a forecast's bands: the variance that the bars ahead are to be
    expected to have by what ranges, gaps and bodies of the last bars showed,
    which say more than their closes. In logs it is that of the profile ahead
    and a weighted sum of five terms: how the last bars, the last session and
    the last week compare with what was to be expected of them, how the last
    months do with the last month, and the level itself, since what is unusual
    returns to the usual. The weights are the seed `forecast_scales`.
#}

{#
    Variance told by one bar: its squared gap and, of its session, what Garman
    and Klass (1980, estimator 7 without its cross terms) make of range and
    body. All are log returns. Never negative: no body exceeds its range.
#}
{% macro candle_variance(gap, log_range, body) -%}
    power({{ gap }}, 2)
    + 0.5 * power({{ log_range }}, 2)
    - (2 * ln(2.0) - 1) * power({{ body }}, 2)
{%- endmacro %}


{#
    Log of how far candles were what was to be expected of them, by a sum and
    the number of its terms; as expected where none is known. A candle without
    any range is not infinitely calm.
#}
{% macro log_surprise(total, terms) -%}
    ln(coalesce(greatest({{ total }}, 0) / nullif({{ terms }}, 0), 1) + 0.05)
{%- endmacro %}


{# Log ratio of two variances, none where either is not known. #}
{% macro log_variance_ratio(variance, other_variance) -%}
    coalesce(
        {{ guarded_log(variance) }} - {{ guarded_log(other_variance) }}, 0
    )
{%- endmacro %}


{# Log of the variance of a session against one of 1% a session. #}
{% macro log_variance_level(variance) -%}
    coalesce({{ guarded_log('(' ~ variance ~ ') * 1e4') }}, 0)
{%- endmacro %}


{# Columns of the five terms and of their weights, in one order. #}
{% macro scale_terms() -%}
    {{ return([
        'recent_surprise', 'session_surprise', 'week_surprise', 'candle_trend',
        'candle_level',
    ]) }}
{%- endmacro %}


{% macro scale_weights() -%}
    {{ return([
        'weight_recent', 'weight_session', 'weight_week', 'weight_trend',
        'weight_level',
    ]) }}
{%- endmacro %}


{# A term of the session profile, or of the last bars where there is none. #}
{% macro of_profile_or_own(term, own) -%}
    case when full_session_bars > 1 then {{ term }} else {{ own }} end
{%- endmacro %}


{#
    Volatility to be forecast over the bars ahead from the variance of the
    profile ahead and the terms; null where `expected_volatility` is.
#}
{% macro forecast_volatility_of(candle_variance_ahead, bars) -%}
    {%- set floor = var('volatility_floor') -%}
    {%- set weighted = [] -%}
    {%- for weight in scale_weights() -%}
        {%- do weighted.append(weight ~ ' * ' ~ scale_terms()[loop.index0]) -%}
    {%- endfor -%}
    case
        when expected_volatility is not null then
            sqrt(
                greatest(
                    {{ candle_variance_ahead }},
                    {{ bars }} * cast(
                        power({{ floor }}, 2) as double precision
                    )
                )
            ) * {{ guarded_exp('0.5 * (' ~ weighted | join(' + ') ~ ')') }}
    end
{%- endmacro %}
