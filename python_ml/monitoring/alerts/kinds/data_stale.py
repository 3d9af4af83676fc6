"""A timeframe whose newest loaded bar is older than it should be."""

from collections.abc import Mapping
from typing import Any

from python_ml.monitoring.alerts.kind import AlertKind, Wording, counted

# Of timeframes that are loaded; what is rolled up from them is as old as they
# are. Sessions with a bar of the timeframe count, so that weeks count as weeks.
QUERY = """
    with
    series as (
        select distinct
            symbols.symbol_id,
            symbols.calendar,
            spans.timeframe
        from {ml}.deployment_spans as spans
        inner join {raw}.symbols as symbols
            on spans.symbol_id = symbols.symbol_id
        inner join {features}.timeframes as timeframes
            on spans.timeframe = timeframes.timeframe
        where
            spans.superseded_at is null
            and symbols.delisted_at is null
            and symbols.deactivated_at is null
    ),

    newest as (
        select
            series.calendar,
            series.timeframe,
            count(*) as n_series,
            max(bars.closed_at) as closed_at
        from series
        cross join lateral (
            select records.closed_at
            from {raw}.bars as records
            where
                records.symbol_id = series.symbol_id
                and records.timeframe = series.timeframe
            order by records.opened_at desc
            limit 1
        ) as bars
        group by series.calendar, series.timeframe
    ),

    aged as (
        select
            newest.*,
            (
                select count(distinct grid.session_date)
                from {features}.bar_grid as grid
                where
                    grid.calendar = newest.calendar
                    and grid.timeframe = newest.timeframe
                    and grid.closed_at > newest.closed_at
                    and grid.closed_at <= :now
            ) as n_sessions
        from newest
    )

    select
        calendar || ' ' || timeframe as subject,
        timeframe as alert_group,
        cast(null as integer) as symbol_id,
        cast(closed_at as text) as cause,
        closed_at,
        n_series,
        n_sessions
    from aged
    where n_sessions > :threshold
    order by subject
"""


def _describe(row: Mapping[str, Any]) -> Wording:
    return Wording(
        f"The newest {row['subject']} bar of "
        f"{counted(row['n_series'], 'symbol')} closed at "
        f"{row['closed_at']:%Y-%m-%d %H:%M} UTC; "
        f"{counted(row['n_sessions'], 'session')} since lack theirs",
        "load newer bars: swiftbolt ingest bars PATH, then: swiftbolt run",
    )


DATA_STALE = AlertKind("data_stale", QUERY, _describe)
