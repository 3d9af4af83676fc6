{#
    Sequential tests by betting. While all is well the mean of a bet is at most
    1, whatever came before. Their sum R_t = (1 + R_{t-1}) x bet_t, of Shiryaev
    and Roberts, then has a mean of at most t, so that it reaches A within n
    steps with probability n / A at most. Several sizes of bets run side by side
    and their mean is the evidence.
#}

{# Shares of the fortune that are staked on a loss of skill. #}
{% macro skill_stakes() -%}
    {{ return([0.1, 0.3, 0.6, 0.9]) }}
{%- endmacro %}


{# Losses of accuracy that are bet on, in shares. #}
{% macro accuracy_losses() -%}
    {{ return([0.03, 0.06, 0.10]) }}
{%- endmacro %}


{# Shares of the fortune that are staked on a lower share of hits. #}
{% macro pooled_hits_stakes() -%}
    {{ return([0.1, 0.3, 0.9]) }}
{%- endmacro %}


{#
    Bet that a forecast is worse than climatology. `gain` is climatology's log
    loss less the forecast's, cut to `bound` either way.
#}
{% macro skill_bet(gain, bound, stake) -%}
    1 - {{ stake }} * {{ gain }} / {{ bound }}
{%- endmacro %}


{#
    Bet that a forecast hits less often than `expected`, by `loss`: the ratio of
    the two likelihoods. Null where nothing is expected.
#}
{% macro hits_bet(hit, expected, loss) -%}
    {%- set lower = 'greatest(' ~ expected ~ ' - ' ~ loss ~ ', 0)' -%}
    {{ hit }} * {{ lower }} / {{ expected }}
    + (1 - {{ hit }}) * (1 - {{ lower }}) / (1 - {{ expected }})
{%- endmacro %}


{# Bet that the share of hits at one time is below `expected`. #}
{% macro pooled_hits_bet(share, expected, stake) -%}
    1 + {{ stake }} * ({{ expected }} - {{ share }}) / (1 - {{ expected }})
{%- endmacro %}


{#
    Accuracy that a hit is bet against: the lower end of the baseline, where it
    says anything. Null without a baseline.
#}
{% macro expected_hit_rate(baseline_accuracy_lower) -%}
    case
        when {{ baseline_accuracy_lower }} > 0
            then least({{ baseline_accuracy_lower }}, 0.99)
    end
{%- endmacro %}


{#
    Evidence after each bet of a stream, to be followed by `over`. `before` is
    the evidence that the first of them is added to, null for none. A bet that
    is null changes nothing. The sum stops at 1e100, which alarms as well.
#}
{% macro evidence_after(bet, before) -%}
    {{ return(adapter.dispatch('evidence_after')(bet, before)) }}
{%- endmacro %}


{# Spark has no such aggregate built in; it is registered by this name. #}
{% macro default__evidence_after(bet, before) -%}
    evidence_after({{ bet }}, {{ before }})
{%- endmacro %}


{% macro postgres__evidence_after(bet, before) -%}
    {{ env_var('SWIFTBOLT_SCHEMA_PREFIX', '') }}ml.evidence_after(
        {{ bet }}, {{ before }}
    )
{%- endmacro %}


{# The mean over the sizes of bets, columns that end in 1, 2 and so on. #}
{% macro mean_over_bets(prefix, n_bets) -%}
    (
    {%- for number in range(1, n_bets + 1) %}
        {{ '+ ' if not loop.first }}{{ prefix }}_{{ number }}
    {%- endfor %}
    ) / {{ n_bets }}
{%- endmacro %}
