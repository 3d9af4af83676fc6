{#
    What was known when. Live tables hold the newest record of everything; two
    vars cut the records for a build of the past, which goes to schemas of its
    own and never over the live ones.

    as_of          a date (its end, UTC) or a time (UTC unless it names a zone):
                   bars closed by then, records known by then, and of `ml`
                   what is about a time by then, whenever it was written
    last_batch_id  a load: what the warehouse held after it
#}

{# The var `as_of` as a time with its zone; empty when not set. #}
{% macro as_of_text() -%}
    {%- set as_of = var('as_of', none) -%}
    {%- if as_of is not none -%}
        {%- set text = (as_of ~ '') | trim | replace('T', ' ') -%}
        {%- set text = text | replace('Z', '+00:00') -%}
        {%- if text | length == 10 -%}
            {{ text }} 23:59:59.999999+00:00
        {%- elif '+' in text or '-' in text[10:] -%}
            {{ text }}
        {%- else -%}
            {{ text }}+00:00
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{# The same in SQL; null when not set. #}
{% macro as_of_time() -%}
    {%- set as_of = as_of_text() -%}
    {%- if as_of -%}
        cast('{{ as_of }}' as timestamp with time zone)
    {%- else -%}
        cast(null as timestamp with time zone)
    {%- endif -%}
{%- endmacro %}


{# Whether a record is of a load that this build sees. #}
{% macro is_seen(batch_id) -%}
    {{ batch_id }} <= (
        select last_batch.batch_id
        from {{ ref('stg_market__last_batch') }} as last_batch
    )
{%- endmacro %}


{#
    Whether a record was known: of a load that this build sees, and by the vars,
    where they are set. `closed_at` is left out for records that no close belongs
    to.
#}
{% macro is_known(recorded_at, batch_id, closed_at=none) -%}
    {%- set conditions = [is_seen(batch_id)] -%}
    {%- set last_batch_id = var('last_batch_id', none) -%}
    {%- if as_of_text() -%}
        {%- for column in [closed_at, recorded_at] if column -%}
            {%- do conditions.append(column ~ ' <= ' ~ as_of_time()) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if last_batch_id is not none -%}
        {%- do conditions.append(batch_id ~ ' <= ' ~ last_batch_id) -%}
    {%- endif -%}
    {{ conditions | join('\n        and ') }}
{%- endmacro %}


{#
    Whether a time of `ml` is not after the var `as_of`: true without it. What a
    replay or a training as of the past has written counts by the time that it
    is about.
#}
{% macro is_not_after_as_of(time) -%}
    {{ time ~ ' <= ' ~ as_of_time() if as_of_text() else 'true' }}
{%- endmacro %}


{# Whether this is a build of the past, which is made anew every time. #}
{% macro is_of_the_past() -%}
    {{ return(
        var('as_of', none) is not none
        or var('last_batch_id', none) is not none
    ) }}
{%- endmacro %}


{#
    Prefix of the schemas of a build of the past: `asof_20120629_`,
    `asof_20120629t153000_`, `batch_12_`; empty for the live build. No two times
    share one.
#}
{% macro knowledge_prefix() -%}
    {%- set as_of = as_of_text() -%}
    {%- if as_of -%}
        {%- if not modules.re.fullmatch(
            '[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]+[+-][0-9]{2}(:?[0-9]{2})?',
            as_of,
        ) -%}
            {{ exceptions.raise_compiler_error(
                "The var as_of is '" ~ var('as_of') ~ "'; use a date like "
                ~ "2012-06-29 or a time like 2012-06-29T15:30:00Z."
            ) }}
        {%- endif -%}
        {%- set time = modules.datetime.datetime.fromisoformat(as_of) -%}
        {%- set time = time.astimezone(modules.pytz.utc) -%}
        asof_{{ time.strftime('%Y%m%d') }}
        {%- if time.strftime('%H%M%S%f') != '235959999999' -%}
            t{{ time.strftime('%H%M%S') }}
            {%- if time.microsecond -%} f{{ time.strftime('%f') }} {%- endif -%}
        {%- endif -%}
        _
    {%- endif -%}
    {%- if var('last_batch_id', none) is not none -%}
        batch_{{ var('last_batch_id') | int }}_
    {%- endif -%}
{%- endmacro %}


{# Date of a time in UTC, whatever the session's time zone. #}
{% macro utc_date(time) -%}
    cast({{ time }} at time zone 'UTC' as date)
{%- endmacro %}


{#
    The rows of the step `findings` that the seed `leakage_audit_exceptions`
    does not accept for this audit. An exception's empty ticker, timeframe or
    date stands for any. The step has the columns ticker, timeframe, closed_at.
#}
{% macro without_exceptions(audit, findings) -%}
    select {{ findings }}.*

    from {{ findings }}

    where
        not exists (
            select 1

            from {{ ref('leakage_audit_exceptions') }} as exceptions

            where
                exceptions.audit = '{{ audit }}'
                and coalesce(exceptions.ticker, {{ findings }}.ticker)
                = {{ findings }}.ticker
                and coalesce(exceptions.timeframe, {{ findings }}.timeframe)
                = {{ findings }}.timeframe
                and coalesce(
                    exceptions.from_date,
                    {{ utc_date(findings ~ '.closed_at') }}
                )
                <= {{ utc_date(findings ~ '.closed_at') }}
                and coalesce(
                    exceptions.to_date,
                    {{ utc_date(findings ~ '.closed_at') }}
                )
                >= {{ utc_date(findings ~ '.closed_at') }}
        )
{%- endmacro %}
