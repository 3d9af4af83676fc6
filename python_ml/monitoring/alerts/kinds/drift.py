"""Evidence that forecasts fall short of what they promised."""

from collections.abc import Mapping
from typing import Any

from python_ml.monitoring.alerts.kind import AlertKind, Wording, counted

# Of single series what is kept when all of them are looked at together, so that
# few of many alerts are false; of a whole timeframe every alarm.
QUERY = """
    with
    alarms as (
        select
            evidence.symbol_id,
            coalesce(evidence.ticker, 'all series') as about,
            evidence.timeframe,
            evidence.horizon,
            evidence.test,
            evidence.evidence,
            evidence.threshold,
            evidence.alarm_since,
            evidence.n_settled,
            row_number() over (
                partition by evidence.symbol_id, evidence.timeframe
                order by evidence.evidence / evidence.threshold desc
            ) as place
        from {monitoring}.drift_evidence as evidence
        where
            evidence.is_alarm
            and (evidence.symbol_id is null or evidence.is_discovery)
    )

    select
        about || ' ' || timeframe as subject,
        timeframe as alert_group,
        symbol_id,
        cast(min(alarm_since) as text) as cause,
        min(alarm_since) as since,
        count(*) as n_alarms,
        max(test || ' of ' || horizon) filter (where place = 1) as strongest,
        max(evidence) filter (where place = 1) as evidence,
        max(threshold) filter (where place = 1) as threshold,
        max(n_settled) filter (where place = 1) as n_settled
    from alarms
    group by symbol_id, about, timeframe
    order by subject
"""


def _describe(row: Mapping[str, Any]) -> Wording:
    more = ""
    if row["n_alarms"] > 1:
        more = f", and {counted(row['n_alarms'] - 1, 'other test')} agree"
    return Wording(
        f"Forecasts of {row['subject']} fall short of what they promised since "
        f"{row['since']:%Y-%m-%d %H:%M} UTC: evidence {row['evidence']:.0f} "
        f"against a threshold of {row['threshold']:.0f} ({row['strongest']}, "
        f"{counted(row['n_settled'], 'outcome')}{more})",
        "train again what asks for it: scripts/emergency_retrain; "
        "monitoring.drift_evidence has all tests",
    )


DRIFT = AlertKind("drift", QUERY, _describe)
