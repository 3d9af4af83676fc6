"""One message for all that is to be told, as text and as blocks of Slack."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from python_ml.monitoring.alerts.changes import Announcements
from python_ml.monitoring.alerts.kind import ALL

# A market that breaks has hundreds of alerts and a message few lines.
LINES_PER_GROUP = 8
# Limits of Slack: https://docs.slack.dev/reference/block-kit/blocks
SECTION_CHARACTERS = 2900
HEADER_CHARACTERS = 150
MAX_BLOCKS = 48
MARKS = {
    "critical": "\N{LARGE RED CIRCLE}",
    "warning": "\N{LARGE YELLOW CIRCLE}",
    "recovered": "\N{LARGE GREEN CIRCLE}",
}
TIMEFRAMES = (ALL, "m15", "h1", "h4", "d1", "w1")


@dataclass(frozen=True)
class Digest:
    """A message before it goes to any channel.

    Parameters
    ----------
    title : str
    groups : list of dict
        `group`, `lines` (`mark`, `text`, `advice`) and `n_more`.
    alert_ids : list of int
        All that it is about, also those that it has no line for.
    """

    title: str
    groups: list[dict[str, Any]]
    alert_ids: list[int]

    def to_content(self) -> dict[str, Any]:
        """As `ml.alert_messages` keeps it."""
        return {"groups": self.groups, "alert_ids": self.alert_ids}


def make_digest(announcements: Announcements) -> Digest:
    """Put what is to be told together, by timeframe, the gravest first."""
    marked = [
        *((alert, alert["severity"], "") for alert in announcements.new),
        *(
            (
                alert,
                alert["severity"],
                f"still, since {alert['first_seen_at']:%Y-%m-%d %H:%M} UTC: ",
            )
            for alert in announcements.repeated
        ),
        *((alert, "recovered", "over: ") for alert in announcements.recovered),
    ]
    groups: dict[str, list[dict[str, str]]] = {}
    for alert, mark, words in sorted(marked, key=_rank):
        groups.setdefault(alert["alert_group"], []).append(
            {
                "mark": mark,
                "text": f"{words}{alert['message']}",
                "advice": "" if mark == "recovered" else alert["advice"],
            }
        )
    counts = (
        (announcements.new, "new"),
        (announcements.repeated, "still open"),
        (announcements.recovered, "over"),
    )
    return Digest(
        "SwiftBolt: "
        + ", ".join(f"{len(some)} {word}" for some, word in counts if some),
        [
            {
                "group": group,
                "lines": lines[:LINES_PER_GROUP],
                "n_more": max(len(lines) - LINES_PER_GROUP, 0),
            }
            for group, lines in groups.items()
        ],
        [alert["alert_id"] for alert, _, _ in marked],
    )


def _rank(marked: tuple[Mapping[str, Any], str, str]) -> tuple[Any, ...]:
    alert, mark, _ = marked
    group = alert["alert_group"]
    place = TIMEFRAMES.index(group) if group in TIMEFRAMES else len(TIMEFRAMES)
    return (place, group, list(MARKS).index(mark), alert["kind"])


def test_digest(now: datetime.datetime, host: str) -> Digest:
    """A message that says nothing but that it has arrived."""
    line = {
        "mark": "recovered",
        "text": f"A test, sent from {host} at {now:%Y-%m-%d %H:%M} UTC: alerts "
        "will arrive here",
        "advice": "",
    }
    return Digest(
        "SwiftBolt: test",
        [{"group": ALL, "lines": [line], "n_more": 0}],
        [],
    )


def to_text(groups: Sequence[Mapping[str, Any]]) -> str:
    """The message below its title, for channels that take text.

    Examples
    --------
    >>> line = {"mark": "critical", "text": "No bars", "advice": "load some"}
    >>> print(to_text([{"group": "d1", "lines": [line], "n_more": 2}]))
    d1
    - critical: No bars. What to do: load some
    - and 2 more: swiftbolt alerts list
    """
    lines = []
    for group in groups:
        lines.append(_heading(group["group"]))
        for line in group["lines"]:
            mark = "" if line["mark"] == "recovered" else f"{line['mark']}: "
            advice = f". What to do: {line['advice']}" if line["advice"] else ""
            lines.append(f"- {mark}{line['text']}{advice}")
        if group["n_more"]:
            lines.append(f"- and {group['n_more']} more: swiftbolt alerts list")
    return "\n".join(lines)


def to_slack(title: str, groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The message as Slack's incoming webhooks take it.

    Examples
    --------
    >>> line = {"mark": "recovered", "text": "a < b", "advice": ""}
    >>> body = to_slack("Hi", [{"group": "d1", "lines": [line], "n_more": 0}])
    >>> [block["type"] for block in body["blocks"]]
    ['header', 'section', 'context']
    >>> body["blocks"][1]["text"]["text"].endswith("a &lt; b")
    True
    """
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": title[:HEADER_CHARACTERS]},
        }
    ]
    for group in groups:
        lines = [f"*{_escape(_heading(group['group']))}*"]
        for line in group["lines"]:
            lines.append(f"{MARKS[line['mark']]} {_escape(line['text'])}")
            if line["advice"]:
                lines.append(f"> {_escape(line['advice'])}")
        if group["n_more"]:
            lines.append(f"and {group['n_more']} more")
        for text in _in_sections(lines):
            blocks.append(
                {"type": "section", "text": {"type": "mrkdwn", "text": text}}
            )
    blocks = blocks[:MAX_BLOCKS]
    blocks.append(
        {
            "type": "context",
            "elements": [
                {
                    "type": "mrkdwn",
                    "text": "`swiftbolt alerts list` has all, `ack`, "
                    "`silence` and `resolve` answer",
                }
            ],
        }
    )
    return {"text": title, "blocks": blocks}


def _heading(group: str) -> str:
    return "All timeframes" if group == ALL else group


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _in_sections(lines: Sequence[str]) -> list[str]:
    """Whole lines, in texts that are short enough for a section."""
    texts = [""]
    for line in lines:
        line = line[:SECTION_CHARACTERS]
        if len(texts[-1]) + len(line) + 1 > SECTION_CHARACTERS:
            texts.append("")
        texts[-1] = f"{texts[-1]}\n{line}" if texts[-1] else line
    return texts
