"""The first page: what changed, what is wrong, what it cost."""

import datetime

import pandas as pd

from python_ml.monitoring.health import MAX_SESSIONS_AGO, REMEDIES
from python_ml.web.content import (
    Block,
    Card,
    Choice,
    Column,
    Content,
    Empty,
    Frames,
    Page,
    Section,
    Table,
)
from python_ml.web.pages.shared import listing, spelled
from python_ml.web.queries import data as data_queries
from python_ml.web.queries import drift as drift_queries
from python_ml.web.queries import overview as queries


def _expected(health: pd.DataFrame) -> pd.DataFrame:
    """Series that should be forecast, by symbol."""
    expected = health[health["is_expected"].astype(bool)]
    return expected.sort_values("ticker", kind="stable")


def _today(frames: Frames, choice: Choice) -> Content:
    health = _expected(frames["health"])
    if health.empty:
        return Empty(
            "No series is loaded yet.", "swiftbolt ingest bars ~/downloads"
        )
    ages = _ages(health, frames["sessions"], choice.now)
    notes: tuple[str, ...] = ()
    if all(n_sessions > MAX_SESSIONS_AGO for _, _, n_sessions in ages):
        notes = (
            "All bars are old, and so is every forecast made from them. Load "
            "newer ones with swiftbolt ingest, then swiftbolt run.",
        )
    cards = (
        _forecast_card(health),
        _drift_card(frames["drift"]),
        *(_age_card(*age) for age in ages),
    )
    return (Block(cards=cards, notes=notes),)


def _ages(
    health: pd.DataFrame, sessions: pd.DataFrame, now: datetime.datetime
) -> list[tuple[str, pd.Timestamp, int]]:
    """Each calendar with its newest bar and the sessions closed since."""
    newest = health.groupby("calendar")["newest_closed_at"].max()
    return [
        (
            str(calendar),
            closed_at,
            int(
                (
                    (sessions["calendar"] == calendar)
                    & (sessions["closed_at"] > closed_at)
                    & (sessions["closed_at"] <= now)
                ).sum()
            ),
        )
        for calendar, closed_at in newest.items()
    ]


def _forecast_card(health: pd.DataFrame) -> Card:
    n_missing = int((health["status"] != "forecast").sum())
    return Card(
        "Forecast at their newest bar",
        f"{len(health) - n_missing} of {len(health)}",
        "series",
        "warn" if n_missing else "good",
    )


def _drift_card(status: pd.DataFrame) -> Card:
    n_drifting = int(status["drift_detected"].fillna(False).sum())
    n_judged = int(status["drift_detected"].notna().sum())
    return Card(
        "Drift",
        f"{n_drifting} of {len(status)}",
        f"{n_judged} judged",
        "warn" if n_drifting else "good" if n_judged else "plain",
    )


def _age_card(calendar: str, closed_at: pd.Timestamp, n_sessions: int) -> Card:
    return Card(
        f"Newest bar of {calendar}",
        f"{closed_at:%Y-%m-%d}",
        f"{closed_at:%H:%M} UTC, {n_sessions:,} sessions ago",
        "warn" if n_sessions > MAX_SESSIONS_AGO else "good",
    )


def _latest(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["latest"],
        {
            "ticker": Column("Symbol", "symbol"),
            "timeframe": Column("Timeframe"),
            "horizon": Column("Horizon"),
            "lower_80": Column("80% from", "price"),
            "upper_80": Column("to", "price"),
            "price_target": Column("Target", "price"),
            "direction": Column("Direction", "verdict"),
            "probability_bearish": Column("Bearish", "share"),
            "probability_neutral": Column("Neutral", "share"),
            "probability_bullish": Column("Bullish", "share"),
            "confidence": Column("Over climatology", "share"),
            "trust": Column("Trust", "verdict"),
            "target_at": Column("Target at (UTC)", "time"),
        },
        "The newest forecast of each series at its base horizon, those "
        "that say most beyond climatology first",
        at_most=20,
        empty=Empty("Nothing has been forecast yet.", "swiftbolt run"),
    )


def _changes(frames: Frames, choice: Choice) -> Content:
    changes = frames["changes"]
    if changes.empty:
        return Empty(
            "No series has two forecasts to compare yet.", "swiftbolt run"
        )
    n_turned = int(changes["has_turned"].sum())
    movers = changes["moved_by"].value_counts()
    return (
        Block(
            notes=(
                f"{n_turned} of {len(changes)} forecasts turned since the bar "
                "before; "
                + ", ".join(
                    f"{count} moved by {spelled(mover)}"
                    for mover, count in movers.items()
                )
                + ".",
            ),
            table=Table(
                changes,
                {
                    "ticker": Column("Symbol", "symbol"),
                    "timeframe": Column("Timeframe"),
                    "horizon": Column("Horizon"),
                    "previous_direction": Column("Was", "verdict"),
                    "direction": Column("Is", "verdict"),
                    "probability_distance": Column(
                        "Probability moved", "share"
                    ),
                    "close_move": Column("Price moved", "skill"),
                    "moved_by": Column("Because of", "verdict"),
                    "closed_at": Column("Bar closed (UTC)", "time"),
                },
                "Forecasts beside those of the bar before, turned ones first",
                at_most=15,
            ),
        ),
    )


def _alerts(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["alerts"],
        {
            "severity": Column("Severity", "verdict"),
            "subject": Column("About"),
            "message": Column("What is seen"),
            "advice": Column("What to do"),
            "state": Column("State"),
            "n_seen": Column("Seen", "count"),
            "first_seen_at": Column("Since (UTC)", "time"),
        },
        "Alerts that are not resolved, critical ones first",
        at_most=30,
        empty=Empty("No alert is open."),
    )


def _missing(frames: Frames, choice: Choice) -> Content:
    health = _expected(frames["health"])
    missing = health[health["status"] != "forecast"]
    if missing.empty:
        return Empty("Every series that should be forecast is.")
    return (
        Block(
            notes=tuple(
                f"{spelled(status).capitalize()}: {remedy}."
                for status, remedy in REMEDIES.items()
                if missing["status"].eq(status).any()
            ),
            table=Table(
                missing,
                {
                    "ticker": Column("Symbol", "symbol"),
                    "timeframe": Column("Timeframe"),
                    "status": Column("Status", "verdict"),
                    "reason": Column("Reason", "verdict"),
                    "details": Column("Details"),
                    "since": Column("Since (UTC)", "time"),
                    "recovers_on": Column("Back on", "date"),
                    "newest_closed_at": Column("Newest bar (UTC)", "time"),
                },
                "Series that should be forecast at their newest bar and are "
                "not",
                at_most=40,
            ),
        ),
    )


def _jobs(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["jobs"],
        {
            "job": Column("Job"),
            "status": Column("Ended", "verdict"),
            "started_at": Column("Started (UTC)", "time"),
            "duration_seconds": Column("Took (s)", "seconds"),
            "peak_memory_mb": Column("Memory (MB)", "count"),
            "counts": Column("Counts", "json"),
            "error_message": Column("Error"),
        },
        "The last starts of jobs, newest first",
        at_most=12,
        empty=Empty("No job has run yet.", "swiftbolt run"),
    )


def _costs(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["costs"],
        {
            "job": Column("Job"),
            "n_runs": Column("Runs", "count"),
            "n_failed": Column("Failed", "count"),
            "mean_minutes": Column("Took (min)", "number"),
            "longest_minutes": Column("longest (min)", "number"),
            "mean_processor_minutes": Column("Processor (min)", "number"),
            "peak_memory_mb": Column("Memory (MB)", "count"),
            "price_in_30_days": Column("Price of 30 days", "number"),
            "currency": Column("in"),
            "is_within_budget": Column("Within budget", "verdict"),
        },
        "What each job took in the last 30 days",
        empty=Empty("No job has run in the last 30 days.", "swiftbolt run"),
    )


def _sections(choice: Choice) -> tuple[Section, ...]:
    return (
        Section(
            "today",
            "Today",
            {
                "health": data_queries.HEALTH,
                "sessions": queries.SESSIONS,
                "drift": drift_queries.STATUS,
            },
            _today,
            command="swiftbolt build",
        ),
        Section(
            "latest",
            "What it says now",
            {"latest": queries.LATEST},
            _latest,
            note="A direction is worth what its probability is over "
            "climatology, which is often nothing; the band is what to rely on.",
        ),
        Section(
            "alerts",
            "Open alerts",
            {"alerts": queries.ALERTS},
            _alerts,
            command="swiftbolt alerts check",
        ),
        Section(
            "changes",
            "What changed since the bar before",
            {"changes": queries.CHANGES},
            _changes,
        ),
        Section(
            "missing",
            "Not forecast, and why",
            {"health": data_queries.HEALTH},
            _missing,
        ),
        Section(
            "jobs",
            "Jobs",
            {"jobs": queries.JOBS},
            _jobs,
            command="swiftbolt db start",
        ),
        Section("costs", "Costs of jobs", {"costs": queries.COSTS}, _costs),
    )


PAGE = Page(
    "",
    "Overview",
    "What is forecast, what changed and what needs a hand.",
    (),
    _sections,
)
