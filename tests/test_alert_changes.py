"""What a check means for the alerts there are."""

import datetime
from dataclasses import replace

import pytest

from python_ml.monitoring.alerts.changes import (
    StoredAlert,
    due_announcements,
    plan_changes,
)
from python_ml.monitoring.alerts.digests import (
    LINES_PER_GROUP,
    SECTION_CHARACTERS,
    make_digest,
    to_slack,
    to_text,
)
from python_ml.monitoring.alerts.kind import Observation
from python_ml.monitoring.alerts.kinds import KINDS
from python_ml.monitoring.alerts.rules import AlertRule, read_rules
from python_ml.settings import load_settings

NOW = datetime.datetime(2024, 3, 8, 21, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
SEEN = Observation("drift", "AAPL d1", "d1", "warning", "odd", "look", "may")
STORED = StoredAlert(1, "drift", SEEN.fingerprint, "warning", "odd", "may", "")
RULES = {"drift": AlertRule("warning", None, 24 * HOUR)}


def plan(stored, observed, judged=("drift",)):
    return plan_changes(stored, observed, judged_kinds=judged, now=NOW)


def alert(state="open", **values):
    return {
        "alert_id": 1,
        "kind": "drift",
        "alert_group": "d1",
        "severity": "warning",
        "message": "odd",
        "advice": "look",
        "state": state,
        "first_seen_at": NOW - 48 * HOUR,
        "announced_at": None,
        "recovery_announced_at": None,
        "changed_by": "check",
    } | values


def test_a_cause_opens_one_alert_and_is_seen_from_then_on():
    assert plan([], [SEEN]).opened == [SEEN]
    again = plan([replace(STORED, state="open")], [SEEN])
    assert (again.opened, again.seen, again.updates) == ([], [1], {})


@pytest.mark.parametrize("state", ["open", "acknowledged", "silenced"])
def test_what_is_seen_no_more_is_over_whoever_had_it_in_hand(state):
    assert plan([replace(STORED, state=state)], []).resolved == [1]


def test_what_cannot_be_looked_at_is_not_over():
    changes = plan([replace(STORED, state="open")], [], judged=())
    assert changes.resolved == []


def test_one_resolved_by_hand_stays_so_until_its_cause_is_another():
    resolved = replace(STORED, state="resolved")
    same = plan([resolved], [SEEN])
    assert (same.opened, same.seen, same.updates) == ([], [1], {})
    other = replace(SEEN, cause="june")
    changed = plan([resolved], [other])
    assert (changed.opened, changed.cleared) == ([other], [1])
    assert plan([resolved], []).cleared == [1]


def test_a_graver_alert_is_told_again_even_if_acknowledged():
    grave = replace(SEEN, severity="critical", message="worse")
    values = plan([replace(STORED, state="acknowledged")], [grave]).updates[1]
    assert values["state"] == "open"
    assert values["announced_at"] is None
    assert values["severity"] == "critical"
    # Silenced is silenced.
    silenced = replace(STORED, state="silenced", silenced_until=NOW + 9 * HOUR)
    assert "state" not in plan([silenced], [grave]).updates[1]


def test_a_silence_that_has_ended_is_told_as_new():
    silenced = replace(STORED, state="silenced", silenced_until=NOW)
    assert plan([silenced], [SEEN]).updates[1] == {
        "state": "open",
        "silenced_until": None,
        "announced_at": None,
    }


@pytest.mark.parametrize(
    ("told_ago", "is_due"),
    [(23, False), (24, True), (-1, True), (-24 * 3650, True)],
    ids=["lately", "a day ago", "in an hour", "in ten years"],
)
def test_an_open_alert_repeats_after_the_seeds_hours(told_ago, is_due):
    """A time of telling to come is that of a clock that was wrong."""
    told = alert(announced_at=NOW - told_ago * HOUR)
    due = due_announcements([told], RULES, now=NOW)
    assert bool(due.repeated) == is_due
    assert not due_announcements(
        [told], {"drift": AlertRule("warning", None, None)}, now=NOW
    )


def test_over_is_told_once_and_only_of_what_was_told():
    told_at = NOW - HOUR
    over = alert("resolved", announced_at=told_at)
    assert due_announcements([over], RULES, now=NOW).recovered == [over]
    for quiet in (
        alert("resolved"),
        over | {"recovery_announced_at": NOW},
        over | {"changed_by": "ann"},
        alert("acknowledged"),
        alert("silenced"),
    ):
        assert not due_announcements([quiet], RULES, now=NOW)


def test_a_digest_groups_by_timeframe_and_counts_what_has_no_line():
    many = [
        alert(alert_id=n, message=f"odd {n}", alert_group="d1")
        for n in range(LINES_PER_GROUP + 5)
    ]
    grave = alert(alert_id=99, alert_group="m15", severity="critical")
    over = alert("resolved", alert_id=98, announced_at=NOW - HOUR)
    digest = make_digest(
        due_announcements([*many, grave, over], RULES, now=NOW)
    )
    assert digest.title == "SwiftBolt: 14 new, 1 over"
    assert [group["group"] for group in digest.groups] == ["m15", "d1"]
    assert digest.groups[1]["n_more"] == 6
    assert len(digest.alert_ids) == 15
    text = to_text(digest.groups)
    assert text.startswith("m15\n- critical: odd. What to do: look\nd1\n")
    assert text.endswith("- and 6 more: swiftbolt alerts list")


def test_a_digest_keeps_to_the_limits_of_slack():
    long = [
        alert(alert_id=n, message="<a&b> " * 300, alert_group=f"t{n // 8}")
        for n in range(400)
    ]
    digest = make_digest(due_announcements(long, RULES, now=NOW))
    blocks = to_slack(digest.title, digest.groups)["blocks"]
    assert len(blocks) <= 50
    texts = [b["text"]["text"] for b in blocks if b["type"] == "section"]
    assert max(map(len, texts)) <= SECTION_CHARACTERS <= 3000
    assert "<a" not in "".join(texts)


def test_every_kind_has_a_rule_in_the_seed():
    assert {kind.name for kind in KINDS} <= set(read_rules(load_settings({})))
