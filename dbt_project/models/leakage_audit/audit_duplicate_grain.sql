-- Keys first, and by keys alone, which the index holds in their order; the rest
-- is looked up for what was found.
{%- set grains = {
    'bars': ['symbol_id', 'timeframe', 'bar_number'],
    'feature_rows': ['symbol_id', 'timeframe', 'bar_number'],
    'labels': ['symbol_id', 'timeframe', 'horizon', 'bar_number'],
} %}

with

{% for relation, grain in grains.items() %}
    {{ relation }} as (

        select
            {{ grain | join(',\n            ') }},
            ticker,
            closed_at

        from {{ ref(relation) }}

    ),

    repeated_{{ relation }} as (

        select
            {{ grain | join(',\n            ') }},
            count(*) as n_rows

        from {{ ref(relation) }}

        group by {{ grain | join(', ') }}

        having count(*) > 1

    ),

{% endfor %}

duplicates as (

    {% for relation, grain in grains.items() %}
        select
            cast('{{ relation }}' as text) as relation,
            repeated.symbol_id,
            min(held.ticker) as ticker,
            repeated.timeframe,
            {% if 'horizon' in grain -%}
                repeated.horizon,
            {%- else -%}
                cast(null as text) as horizon,
            {%- endif %}
            repeated.bar_number,
            min(held.closed_at) as closed_at,
            repeated.n_rows

        from repeated_{{ relation }} as repeated

        inner join {{ relation }} as held
            on
                {% for column in grain -%}
                    repeated.{{ column }} = held.{{ column }}
                    {%- if not loop.last %}
                        and {% endif -%}
                {%- endfor %}

        group by
            repeated.{{ grain | join(', repeated.') }}, repeated.n_rows

        {{ 'union all' if not loop.last }}
    {% endfor %}

),

unaccepted as (

    {{ without_exceptions('audit_duplicate_grain', 'duplicates') }}

)

select * from unaccepted
