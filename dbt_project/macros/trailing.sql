{#
    Windows over the past of one series. A series is one symbol on one
    timeframe; its order is the grid's. Only what precedes a bar is looked at:
    what looks ahead lives in forward.sql and belongs to labels.

    A moving frame costs one step for each bar in it, a difference of two
    running sums costs two whatever its length. Over a long series a running sum
    loses digits, so series are cut into blocks of bar numbers, each led by the
    bars before it that its windows reach back to (its run-up). Blocks always
    begin at the same bar numbers, so that computing a block again, alone, gives
    the same bits.

    A window counts rows. That they are consecutive bars of the grid is checked
    by `trailing_bars_are_whole`.
#}

{% macro block_number(bar_number) -%}
    cast(
        floor(({{ bar_number }}) / {{ var('block_bars') }}.0) as integer
    )
{%- endmacro %}


{% macro block_order() -%}
    partition by symbol_id, timeframe, block_number order by bar_number asc
{%- endmacro %}


{# Value of `expression`, `bars` bars ago. #}
{% macro trailing_value(expression, bars) -%}
    lag({{ expression }}, {{ bars }}) over ({{ block_order() }})
{%- endmacro %}


{#
    Sum of `expression` from the start of the run-up up to this bar. Null counts
    as zero: a series' first bar has no move.
#}
{% macro running_sum(expression) -%}
    sum(coalesce({{ expression }}, 0)) over (
        {{ block_order() }} rows between unbounded preceding and current row
    )
{%- endmacro %}


{# Sum over the last `bars` bars, this one included, from a running sum. #}
{% macro trailing_sum(running_sum, bars) -%}
    {{ running_sum }} - {{ trailing_value(running_sum, bars) }}
{%- endmacro %}


{% macro trailing_mean(running_sum, bars) -%}
    ({{ trailing_sum(running_sum, bars) }}) / {{ bars }}
{%- endmacro %}


{# `max` or `min` over the last five bars, the piece of longer ones. #}
{% macro extreme_of_5(function, expression) -%}
    {{ function }}({{ expression }}) over (
        {{ block_order() }} rows between 4 preceding and current row
    )
{%- endmacro %}


{#
    Maximum (`greatest`) or minimum (`least`) over `pieces` times `bars` bars
    from that over `bars` bars.
#}
{% macro trailing_extreme(function, extreme, bars, pieces) -%}
    {%- set values = [extreme] -%}
    {%- for piece in range(1, pieces) -%}
        {%- do values.append(trailing_value(extreme, piece * bars)) -%}
    {%- endfor -%}
    {{ function }}({{ values | join(', ') }})
{%- endmacro %}


{# Log return of `price` over the last `bars` bars. #}
{% macro trailing_log_return(price, bars) -%}
    ln({{ price }} / {{ trailing_value(price, bars) }})
{%- endmacro %}


{#
    Whether the last `bars` bars and the one before them are on the grid without
    a hole; null while there are not that many.
#}
{% macro trailing_bars_are_whole(bars) -%}
    bar_number - {{ trailing_value('bar_number', bars) }} = {{ bars }}
{%- endmacro %}
