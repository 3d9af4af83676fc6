with

definitions as (

    {% for feature, family, lookback_bars, unit, formula
        in horizon_feature_definitions() %}
        select
            cast({{ loop.index }} as integer) as sort_order,
            cast('{{ feature }}' as text) as feature,
            cast('{{ family }}' as text) as family,
            cast({{ lookback_bars }} as integer) as lookback_bars,
            cast('{{ unit }}' as text) as unit

        {{ 'union all' if not loop.last }}
    {% endfor %}

)

select * from definitions
