"""80% bands that have held less or more than chance explains."""

from collections.abc import Mapping
from typing import Any

from python_ml.monitoring.alerts.kind import AlertKind, Wording

# As trust judges it (`scoring.band_walk.coverage_is_broken`): every bar is one
# observation of the market, and as many as the horizon has bars are one.
QUERY = """
    with
    states as (
        select
            states.calendar,
            states.timeframe,
            states.horizon,
            states.bar_number,
            states.share_inside_80,
            max(states.bar_number) over (
                partition by states.calendar, states.timeframe, states.horizon
            ) as last_bar_number
        from {ml}.band_states as states
        inner join {features}.timeframes as timeframes
            on states.timeframe = timeframes.timeframe
        where states.run_kind = 'live'
    ),

    sessions as (
        select calendar, timeframe, max(full_session_bars) as n_bars
        from {features}.bar_grid
        group by calendar, timeframe
    ),

    windows as (
        select
            states.calendar,
            states.timeframe,
            states.horizon,
            horizons.horizon_bars,
            count(states.share_inside_80) as n_bars,
            avg(states.share_inside_80) as coverage
        from states
        inner join sessions
            on
                states.calendar = sessions.calendar
                and states.timeframe = sessions.timeframe
        inner join {intermediate}.int_horizons_completed_with_defaults
            as horizons
            on
                states.calendar = horizons.calendar
                and states.timeframe = horizons.timeframe
                and states.horizon = horizons.horizon
        where
            states.bar_number > states.last_bar_number - 60 * sessions.n_bars
        group by
            states.calendar,
            states.timeframe,
            states.horizon,
            horizons.horizon_bars
    ),

    broken as (
        select *
        from windows
        where
            n_bars >= horizon_bars
            and abs(coverage - 0.8) > :threshold * sqrt(
                0.8 * 0.2 / greatest(n_bars / cast(horizon_bars as real), 1)
            )
    )

    select
        calendar || ' ' || timeframe as subject,
        timeframe as alert_group,
        cast(null as integer) as symbol_id,
        string_agg(horizon, ', ' order by horizon_bars) as cause,
        string_agg(
            horizon || ' ' || round(cast(100 * coverage as numeric), 1) || '%',
            ', '
            order by horizon_bars
        ) as coverages
    from broken
    group by calendar, timeframe
    order by subject
"""


def _describe(row: Mapping[str, Any]) -> Wording:
    return Wording(
        f"80% bands of {row['subject']} over the last 60 sessions held "
        f"{row['coverages']}",
        "read no band of these horizons as 80% until it is over; "
        "monitoring.band_coverage says when they broke",
    )


COVERAGE_BROKEN = AlertKind("coverage_broken", QUERY, _describe)
