{#
    Incremental builds are driven by work lists: small tables, made first in
    every run, of the series that have changed and from which bar on. The dbt
    models behind them read only what the lists name and need not know why.
    What is due is deleted first and then made again, so that a row that no
    longer comes of the bars does not stay.

    The watermark is the highest batch id that a table has seen. Batch ids are
    given out under the ingest lock, so they rise in commit order; a timestamp
    would lose rows that were committed late.
#}

{# The table of features as it stands; none when it is to be built anew. #}
{% macro built_relation(name) -%}
    {%- set built = none -%}
    {%- if execute and not flags.FULL_REFRESH -%}
        {%- set built = adapter.get_relation(
            database=target.database,
            schema=generate_schema_name('features', model),
            identifier=name,
        ) -%}
    {%- endif -%}
    {{ return(built) }}
{%- endmacro %}


{#
    Highest `batch_id` in the table `name` of features, as a number that the
    planner can count rows by; 0 when it is built anew.
#}
{% macro watermark(name) -%}
    {%- set built = built_relation(name) -%}
    {%- if built -%}
        {%- set found = run_query('select max(batch_id) from ' ~ built) -%}
        {{ return((found.columns[0][0] or 0) | int) }}
    {%- endif -%}
    {{ return(0) }}
{%- endmacro %}


{#
    Condition on `time` that the join on a work list implies. It names the first
    time of all, so that the planner can count by it how few rows are due.
#}
{% macro not_before_any_is_due(time, due, due_from) -%}
    {%- set list = load_relation(due) if execute -%}
    {%- if list -%}
        {%- set found = run_query(
            'select min(' ~ due_from ~ ') from ' ~ list
        ) -%}
        {%- set first = found.columns[0][0] -%}
    {%- endif -%}
    {{ return(time ~ " >= '" ~ first.isoformat() ~ "'" if first else 'true') }}
{%- endmacro %}


{#
    Pre-hook of an incremental table: delete what the work list `due` says is
    made again, by a condition on `built` and `due`.
#}
{% macro delete_what_is_due(due, condition) -%}
    {%- set built = built_relation(model.name) -%}
    {%- if built -%}
        delete from {{ built }} as built
        using {{ generate_schema_name('intermediate', model) }}.{{ due }} as due
        where {{ condition }}
    {%- endif -%}
{%- endmacro %}


{#
    The same of `bars`, whose work list knows times only: the grid says from
    which bar number on any can be due, and by that they are found in their key.
#}
{% macro delete_bars_due(due, grid) -%}
    {%- if built_relation(model.name) -%}
        with

        starts as (
            select
                timeframe,
                min(bar_number) as bar_number

            from {{ grid }}

            where opened_at >= (select min(from_opened_at) from {{ due }})

            group by timeframe
        )

        delete from {{ this }} as built
        using {{ due }} as due, starts
        where
            built.symbol_id = due.symbol_id
            and built.timeframe = starts.timeframe
            and built.bar_number >= starts.bar_number
            and built.opened_at >= due.from_opened_at
    {%- endif -%}
{%- endmacro %}


{#
    Pre-hook of an incremental table: give the rows of a renamed symbol the
    ticker that it has now. Only symbols that were ever renamed are looked at.
#}
{% macro rename_built_rows(symbols, aliases) -%}
    {%- set built = built_relation(model.name) -%}
    {%- if built -%}
        update {{ built }} as built
        set ticker = symbols.ticker
        from {{ symbols }} as symbols
        where
            built.symbol_id = symbols.symbol_id
            and built.ticker <> symbols.ticker
            and symbols.symbol_id in (select symbol_id from {{ aliases }})
    {%- endif -%}
{%- endmacro %}


{#
    Pre-hook of a table that is made anew in every run: empty it. Unlike dbt's
    own tables it is not replaced, so the views behind it stay.
#}
{% macro delete_all() -%}
    {%- if is_incremental() -%}
        truncate table {{ this }}
    {%- endif -%}
{%- endmacro %}


{#
    Post-hook of a large table: its primary key and statistics, once it is
    filled. Sorting all keys at the end takes a third of the time that keeping
    them in order row by row does. Later runs find the key and add nothing;
    autovacuum keeps the statistics.
#}
{% macro add_primary_key(columns) -%}
    {%- if execute and not has_primary_key(this) -%}
        alter table {{ this }} add primary key ({{ columns | join(', ') }});
        analyze {{ this }}
    {%- endif -%}
{%- endmacro %}


{% macro has_primary_key(relation) -%}
    {%- set found -%}
        select 1
        from information_schema.table_constraints
        where
            constraint_type = 'PRIMARY KEY'
            and table_schema = '{{ relation.schema }}'
            and table_name = '{{ relation.identifier }}'
    {%- endset -%}
    {{ return(run_query(found) | length > 0) }}
{%- endmacro %}


{#
    Stop when a timeframe that was rolled up so far has been loaded: bars of
    both origins would stand in one series.
#}
{% macro stop_when_loaded_over_rolled_up(source_bars) -%}
    {%- set bars = built_relation('bars') -%}
    {%- if bars -%}
        {%- set mixed -%}
            select
                ticker,
                timeframe

            from (
                select distinct
                    symbol_id,
                    timeframe

                from {{ source_bars }}

                where batch_id > {{ watermark('bars') }}
            ) as loaded

            -- A look into the key for each: the bars of a series are all
            -- loaded or all rolled up.
            cross join lateral (
                select
                    built.ticker,
                    built.rolled_up_from

                from {{ bars }} as built

                where
                    built.symbol_id = loaded.symbol_id
                    and built.timeframe = loaded.timeframe

                order by built.bar_number

                limit 1
            ) as first_bar

            where rolled_up_from is not null

            order by ticker, timeframe
        {%- endset -%}
        {%- set series = run_query(mixed) -%}
        {%- if series | length > 0 -%}
            {{ exceptions.raise_compiler_error(
                "Bars were loaded of " ~ series | length ~ " series that were "
                ~ "rolled up from finer bars so far (first: "
                ~ series[0][0] ~ " " ~ series[0][1] ~ "). Build them again "
                ~ "from what was loaded with: dbt build --full-refresh"
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{#
    Post-hook of `bars`: write down the timeframes that they were built in.
#}
{% macro record_timeframes(built, timeframes) -%}
    {%- if not is_incremental() -%}
        delete from {{ built }};
    {%- endif %}
    insert into {{ built }}
    select timeframe from {{ timeframes }}
    except
    select timeframe from {{ built }}
{%- endmacro %}


{#
    Stop when there are bars of a timeframe that the seed had not when `bars`
    was built: what was loaded since would be all of it.
#}
{% macro stop_when_timeframe_is_back(built, loaded, rolled_up) -%}
    {%- set bars = built_relation('bars') -%}
    {%- if bars and load_relation(built) -%}
        {%- set back -%}
            select distinct series.timeframe

            from (
                select timeframe from {{ loaded }}

                union all

                select timeframe from {{ rolled_up }}
            ) as series

            where
                exists (select 1 from {{ built }})
                and series.timeframe not in (select timeframe from {{ built }})

            order by series.timeframe
        {%- endset -%}
        {%- set found = run_query(back) -%}
        {%- if found | length > 0 -%}
            {{ exceptions.raise_compiler_error(
                "The seed timeframes holds " ~ found[0][0] ~ " again, which "
                ~ bars ~ " was built without. Build it again with: "
                ~ "dbt build --full-refresh"
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{#
    What the seeds say of the labels of some calendars and timeframes, and of the
    holes in what these are made from: a row for each horizon, or one without
    where there is none.
#}
{% macro label_seeds(series, horizons, rules, timeframes, scales) -%}
    {%- set weights = [] -%}
    {%- for weight in scale_weights() -%}
        {%- do weights.append('cast(scales.' ~ weight ~ ' as text)') -%}
    {%- endfor -%}
    select
        series.calendar,
        series.timeframe,
        horizons.horizon,
        horizons.horizon_bars,
        rules.rule,
        cast(
            case
                when rules.rule = 'fixed_return' then rules.fixed_return
                else rules.volatility_multiple
            end as double precision
        ) as rule_value,
        timeframes.max_hole_bars,
        timeframes.min_window_share,
        timeframes.min_parts_share,
        {{ weights | join(" || ' ' || ") }} as scale_weights

    from (
        select distinct
            calendar,
            timeframe

        from {{ series }}
    ) as series

    left join {{ horizons }} as horizons
        on
            series.calendar = horizons.calendar
            and series.timeframe = horizons.timeframe

    left join {{ scales }} as scales
        on
            horizons.timeframe = scales.timeframe
            and horizons.horizon_place = scales.horizon_place

    left join {{ rules }} as rules
        on series.timeframe = rules.timeframe

    left join {{ timeframes }} as timeframes
        on series.timeframe = timeframes.timeframe
{%- endmacro %}


{#
    Post-hook of `labels`: write down what they were built by, for the series
    that were due and have nothing written down yet.
#}
{% macro record_label_seeds(
    built, horizons, rules, timeframes, scales, due
) -%}
    {%- if not is_incremental() -%}
        delete from {{ built }};
    {%- endif %}
    insert into {{ built }}
    select seeds.*

    from (
        {{ label_seeds(due, horizons, rules, timeframes, scales) }}
    ) as seeds

    left join (
        select distinct
            calendar,
            timeframe

        from {{ built }}
    ) as built
        on
            seeds.calendar = built.calendar
            and seeds.timeframe = built.timeframe

    where built.calendar is null
{%- endmacro %}


{#
    Stop when labels were built with other horizons, rules or treatment of holes
    than the seeds now hold: rows of both kinds in one table would look alike,
    and those of a horizon that is new or gone would be missing or stay.
#}
{% macro stop_when_label_seeds_changed(
    built, horizons, rules, timeframes, scales
) -%}
    {%- set labels = built_relation('labels') -%}
    {%- if labels and load_relation(built) -%}
        {%- set changed -%}
            with

            built as (

                select * from {{ built }}

            ),

            seeds as (

                {{ label_seeds(
                    'built', horizons, rules, timeframes, scales
                ) }}

            ),

            changed as (

                (select * from built except select * from seeds)

                union all

                (select * from seeds except select * from built)

                union all

                -- Labels of which nothing was written down.
                select
                    labels.calendar,
                    labels.timeframe,
                    labels.horizon,
                    null,
                    null,
                    null,
                    null,
                    null,
                    null,
                    null

                from (select * from {{ labels }} limit 1) as labels

                where not exists (select 1 from built)

            )

            select
                calendar,
                timeframe,
                coalesce(horizon, 'no horizon')

            from changed

            order by calendar, timeframe, horizon
        {%- endset -%}
        {%- set found = run_query(changed) -%}
        {%- if found | length > 0 -%}
            {{ exceptions.raise_compiler_error(
                "The seeds horizons, label_rules, timeframes or "
                ~ "forecast_scales have changed since " ~ labels ~ " was built (first: " ~ found[0][0] ~ " "
                ~ found[0][1] ~ " " ~ found[0][2] ~ "). Build it again with: "
                ~ "dbt build --full-refresh"
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
