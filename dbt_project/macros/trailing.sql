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

    A window counts rows, those of carried bars included. That they are
    consecutive bars of the grid is checked by `trailing_bars_are_whole`.
#}

{% macro block_number(bar_number) -%}
    cast(
        floor(
            ({{ bar_number }})
            / cast({{ var('block_bars') }} as double precision)
        ) as integer
    )
{%- endmacro %}


{#
    Number of a block among those of all series: one number sorts and compares
    several times faster than a series' keys.
#}
{% macro block_id(series_number, bar_number) -%}
    {{ series_number }} * 1000000 + {{ block_number(bar_number) }}
{%- endmacro %}


{#
    One window for all that looks back: what is computed over the same window
    is computed in one pass. Lags do not mind the frame.
#}
{% macro block_window() -%}
    partition by block_id
    order by bar_number asc
    rows between unbounded preceding and current row
{%- endmacro %}


{# Value of `expression`, `bars` bars ago. #}
{% macro trailing_value(expression, bars) -%}
    lag({{ expression }}, {{ bars }}) over ({{ block_window() }})
{%- endmacro %}


{# Value of `expression` at the start of the block's run-up. #}
{% macro first_in_block(expression) -%}
    first_value({{ expression }}) over ({{ block_window() }})
{%- endmacro %}


{#
    Sum of `expression` from the start of the run-up up to this bar. Null counts
    as zero: a series' first bar has no move.
#}
{% macro running_sum(expression) -%}
    sum(coalesce({{ expression }}, 0)) over ({{ block_window() }})
{%- endmacro %}


{# How often `condition` has held, as a number that divisions keep whole. #}
{% macro running_count(condition) -%}
    sum(
        case
            when {{ condition }} then cast(1 as double precision)
            else cast(0 as double precision)
        end
    ) over ({{ block_window() }})
{%- endmacro %}


{# Sum over the last `bars` bars, this one included, from a running sum. #}
{% macro trailing_sum(running_sum, bars) -%}
    {{ running_sum }} - {{ trailing_value(running_sum, bars) }}
{%- endmacro %}


{#
    Maximum (`greatest`) or minimum (`least`) over the last `bars` bars from
    that over `piece_bars`. Pieces may overlap.
#}
{% macro trailing_extreme(function, piece, piece_bars, bars) -%}
    {%- set values = [piece] -%}
    {%- for start in range(piece_bars, bars, piece_bars) -%}
        {%- do values.append(
            trailing_value(piece, [start, bars - piece_bars] | min)
        ) -%}
    {%- endfor -%}
    {{ function }}({{ values | join(', ') }})
{%- endmacro %}


{#
    Several numbers as one value, which is looked back at as a whole: one look
    for each span, not one for each span and column.
#}
{% macro packed(expressions) -%}
    {{ return(adapter.dispatch('packed')(expressions)) }}
{%- endmacro %}


{% macro default__packed(expressions) -%}
    array({{ expressions | join(', ') }})
{%- endmacro %}


{% macro postgres__packed(expressions) -%}
    array[{{ expressions | join(', ') }}]
{%- endmacro %}


{# The number at `place`, from 0, of what was packed. #}
{% macro unpacked(value, place) -%}
    {{ return(adapter.dispatch('unpacked')(value, place)) }}
{%- endmacro %}


{% macro default__unpacked(value, place) -%}
    {{ value }}[{{ place }}]
{%- endmacro %}


{% macro postgres__unpacked(value, place) -%}
    {{ value }}[{{ place + 1 }}]
{%- endmacro %}


{#
    The number called `name` of `pieces`, now or `bars` bars ago. The names are
    those of what was packed as `pieces` and looked back at as `pieces_<bars>`.
#}
{% macro piece(pieces, name, bars=0) -%}
    {{ unpacked(
        'pieces_' ~ bars if bars else 'pieces', pieces.index(name)
    ) }}
{%- endmacro %}


{# What a running sum among the pieces has grown by over the last `bars`. #}
{% macro sum_of_pieces(pieces, name, bars) -%}
    {{ piece(pieces, name) }} - {{ piece(pieces, name, bars) }}
{%- endmacro %}


{#
    Bars that lie between this one and the last that was observed, this one
    included: 1 unless there is a hole.
#}
{% macro bars_spanned() -%}
    bar_number - {{ trailing_value('observed_bar_number', 1) }}
{%- endmacro %}


{#
    A log return since the last bar in units of one bar: a move across a hole
    counts over all the bars that it spans, of whose variances its own is the
    sum.
#}
{% macro per_bar_spanned(log_return) -%}
    {{ log_return }}
    / sqrt(cast(greatest({{ bars_spanned() }}, 1) as double precision))
{%- endmacro %}


{# Log return of `price` since the last bar, in units of one bar. #}
{% macro move_per_bar(price) -%}
    {{ per_bar_spanned(
        'ln(' ~ price ~ ' / ' ~ trailing_value(price, 1) ~ ')'
    ) }}
{%- endmacro %}


{#
    Whether the last `bars` bars and the one before them are on the grid without
    a hole; null while there are not that many.
#}
{% macro trailing_bars_are_whole(bars) -%}
    bar_number - {{ trailing_value('bar_number', bars) }} = {{ bars }}
{%- endmacro %}
