"""A training that was not good enough to be deployed, or did not end."""

from collections.abc import Mapping
from typing import Any

from python_ml.monitoring.alerts.kind import AlertKind, Wording, counted

QUERY = """
    with
    decisions as (
        select distinct on (calendar, timeframe, horizon)
            calendar,
            timeframe,
            horizon,
            promotion_id,
            as_of,
            verdict
        from {ml}.promotions
        where run_name is null
        order by
            calendar asc, timeframe asc, horizon asc, promotion_id desc
    ),

    refused as (
        select
            calendar || ' ' || timeframe as subject,
            timeframe as alert_group,
            cast(null as integer) as symbol_id,
            cast(max(promotion_id) as text) as cause,
            max(as_of) as since,
            string_agg(
                horizon || ' (' || replace(verdict, '_', ' ') || ')',
                ', '
                order by horizon
            ) as details,
            0 as n_attempts
        from decisions
        where verdict in ('worse_than_champion', 'below_climatology')
        group by calendar, timeframe
    ),

    unserved as (
        select
            symbols.ticker || ' ' || requests.timeframe as subject,
            requests.timeframe as alert_group,
            requests.symbol_id,
            cast(requests.retrain_request_id as text) as cause,
            requests.requested_at as since,
            coalesce(requests.error_message, 'no reason') as details,
            requests.n_attempts
        from {ml}.retrain_requests as requests
        inner join {raw}.symbols as symbols
            on requests.symbol_id = symbols.symbol_id
        where requests.status = 'open' and requests.n_attempts >= :threshold
    )

    select told.*
    from (select * from refused union all select * from unserved) as told
    inner join {features}.timeframes as timeframes
        on told.alert_group = timeframes.timeframe
    order by told.subject
"""


def _describe(row: Mapping[str, Any]) -> Wording:
    if row["n_attempts"]:
        return Wording(
            f"{row['subject']} should be trained again since "
            f"{row['since']:%Y-%m-%d %H:%M} UTC, and "
            f"{counted(row['n_attempts'], 'attempt')} did not: "
            f"{row['details']}".rstrip("."),
            "mend that, then: swiftbolt train --requested",
        )
    return Wording(
        f"What was trained of {row['subject']} as of {row['since']:%Y-%m-%d} "
        f"is not deployed: {row['details']}",
        "the versions before stay live; ml.promotions has the evidence",
    )


RETRAIN_REFUSED = AlertKind("retrain_refused", QUERY, _describe)
