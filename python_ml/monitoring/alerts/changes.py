"""What a check means for the alerts there are: pure, from rows to rows."""

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from python_ml.monitoring.alerts.kind import Observation
from python_ml.monitoring.alerts.rules import SEVERITIES, AlertRule

# Who resolves what no check sees any more.
CHECK = "check"


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert that is not over: not resolved, or resolved by hand and seen.

    Parameters
    ----------
    alert_id : int
    kind, fingerprint, severity, message, cause, state : str
        As in `ml.alerts`.
    silenced_until : datetime or None
    """

    alert_id: int
    kind: str
    fingerprint: str
    severity: str
    message: str
    cause: str
    state: str
    silenced_until: datetime.datetime | None = None


@dataclass(frozen=True)
class Changes:
    """What to write.

    Parameters
    ----------
    opened : list of Observation
        Causes that have no alert yet.
    seen : list of int
        Alerts seen again, resolved ones included.
    updates : dict of int to dict
        New values of some of them.
    resolved : list of int
        No longer seen.
    cleared : list of int
        Resolved by hand before, and now no longer seen either.
    """

    opened: list[Observation] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    updates: dict[int, dict[str, Any]] = field(default_factory=dict)
    resolved: list[int] = field(default_factory=list)
    cleared: list[int] = field(default_factory=list)


def plan_changes(
    stored: Iterable[StoredAlert],
    observed: Sequence[Observation],
    *,
    judged_kinds: Collection[str],
    now: datetime.datetime,
) -> Changes:
    """Decide what is new, what goes on and what is over.

    Parameters
    ----------
    stored : iterable of StoredAlert
        At most one of each fingerprint is not resolved.
    observed : sequence of Observation
        All that the check sees, one of each fingerprint.
    judged_kinds : collection of str
        Kinds whose statement ran. Alerts of others stay as they are: what
        cannot be looked at is not over.
    now : datetime

    Returns
    -------
    Changes
        An alert whose silence has ended, or that has become graver, is open
        again and counts as not told. One resolved by hand stays so until its
        cause is another, or it was gone in between.
    """
    changes = Changes()
    by_fingerprint = {one.fingerprint: one for one in observed}
    known: set[str] = set()
    for alert in stored:
        found = by_fingerprint.get(alert.fingerprint)
        is_resolved = alert.state == "resolved"
        if found is None:
            if alert.kind in judged_kinds:
                over = changes.cleared if is_resolved else changes.resolved
                over.append(alert.alert_id)
            continue
        if is_resolved and found.cause != alert.cause:
            changes.cleared.append(alert.alert_id)
            continue
        known.add(alert.fingerprint)
        changes.seen.append(alert.alert_id)
        if not is_resolved and (values := _new_values(alert, found, now)):
            changes.updates[alert.alert_id] = values
    changes.opened.extend(
        one for one in by_fingerprint.values() if one.fingerprint not in known
    )
    return changes


def _new_values(
    alert: StoredAlert, found: Observation, now: datetime.datetime
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in ("severity", "message", "cause"):
        if getattr(alert, name) != getattr(found, name):
            values[name] = getattr(found, name)
    if "message" in values:
        values["advice"] = found.advice
    is_graver = SEVERITIES.index(found.severity) > SEVERITIES.index(
        alert.severity
    )
    is_loud_again = (
        alert.state == "silenced"
        and alert.silenced_until is not None
        and alert.silenced_until <= now
    )
    if is_loud_again or (is_graver and alert.state == "acknowledged"):
        values |= {
            "state": "open",
            "silenced_until": None,
            "announced_at": None,
        }
    elif is_graver and alert.state == "open":
        values["announced_at"] = None
    return values


@dataclass(frozen=True)
class Announcements:
    """What a digest is about, as rows of `ml.alerts`.

    Parameters
    ----------
    new, repeated, recovered : list of mapping
    """

    new: list[Mapping[str, Any]]
    repeated: list[Mapping[str, Any]]
    recovered: list[Mapping[str, Any]]

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.new or self.repeated or self.recovered)


def due_announcements(
    alerts: Iterable[Mapping[str, Any]],
    rules: Mapping[str, AlertRule],
    *,
    now: datetime.datetime,
) -> Announcements:
    """Choose what is to be told now.

    Open alerts that were never told, those told as long ago as their rule
    says, and those told that no check sees any more. A time of telling that is
    still to come is that of a clock that was wrong, and counts as long ago.

    Parameters
    ----------
    alerts : iterable of mapping
        Rows of `ml.alerts`.
    rules : mapping of str to AlertRule
    now : datetime
    """
    found = Announcements([], [], [])
    for alert in alerts:
        told_at = alert["announced_at"]
        if alert["state"] == "resolved":
            if (
                told_at is not None
                and alert["changed_by"] == CHECK
                and alert["recovery_announced_at"] is None
            ):
                found.recovered.append(alert)
        elif alert["state"] == "open":
            rule = rules.get(alert["kind"])
            if told_at is None:
                found.new.append(alert)
            elif (
                rule is not None
                and rule.repeat_after is not None
                and not now - rule.repeat_after < told_at <= now
            ):
                found.repeated.append(alert)
    return found
