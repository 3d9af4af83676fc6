"""Whether forecasts are still as good as validation promised."""

from python_ml.web.content import (
    Block,
    Choice,
    Column,
    Content,
    Empty,
    Frames,
    Page,
    Section,
    Table,
)
from python_ml.web.figures.drift import (
    evidence_figure,
    features_figure,
    rolling_figure,
    status_figure,
)
from python_ml.web.pages.shared import HISTORY_COMMAND, listing, spelled
from python_ml.web.queries import drift as queries
from python_ml.web.queries import overview as overview_queries

NOT_YET = "No forecast has settled yet, so there is nothing to judge."
N_SHOWN = 25
N_FEATURES = 15


def _status(frames: Frames, choice: Choice) -> Content:
    status = frames["status"]
    if status.empty:
        return Empty(NOT_YET, HISTORY_COMMAND)
    status = status.assign(name=status["ticker"] + " " + status["timeframe"])
    judged = status[status["accuracy_lower"].notna()]
    shown = judged.head(N_SHOWN)
    n_drifting = int(status["drift_detected"].fillna(False).sum())
    notes = [
        f"{n_drifting} of {len(status)} series drift, which is said where the "
        "whole interval of the accuracy lies below what was expected."
    ]
    if len(judged) > len(shown):
        notes.append(
            f"The figure shows the {len(shown)} furthest below; the CSV has "
            f"all {len(status)}."
        )
    return (
        Block(
            notes=tuple(notes),
            figure=status_figure(shown) if len(shown) else None,
            table=Table(
                status,
                {
                    "ticker": Column("Symbol", "symbol"),
                    "timeframe": Column("Timeframe"),
                    "accuracy_lower": Column("Accuracy from", "share"),
                    "accuracy_upper": Column("to", "share"),
                    "accuracy": Column("is", "share"),
                    "baseline_accuracy": Column("Baseline", "share"),
                    "drift_margin": Column("Margin (points)", "points"),
                    "n_predictions": Column("Forecasts", "count"),
                    "n_effective": Column("that count", "number"),
                    "status": Column("Status", "verdict"),
                    "reading": Column("Reading", "verdict"),
                    "trend": Column("Trend", "verdict"),
                    "recommendation": Column("Recommended", "verdict"),
                },
                "Series by their last settled forecasts, worst first",
            ),
        ),
    )


def _rolling(frames: Frames, choice: Choice) -> Content:
    days = frames["days"].sort_values("date")
    if days.empty:
        return Empty(NOT_YET, HISTORY_COMMAND)
    judged = days[days["status"] != "insufficient_data"]
    is_trailing = (days["judged_window"] == "trailing").any()
    return (
        Block(
            notes=(
                "Each point is the accuracy of the last forecasts settled by "
                "then; overlapping ones count for less."
                if is_trailing
                else "Each point is the accuracy of the forecasts settled on "
                "the day; overlapping ones count for less.",
            ),
            figure=rolling_figure(judged) if len(judged) else None,
            table=Table(
                days.sort_values("date", ascending=False),
                {
                    "date": Column("Settled on", "date"),
                    "accuracy_lower": Column("Accuracy from", "share"),
                    "accuracy_upper": Column("to", "share"),
                    "accuracy": Column("is", "share"),
                    "baseline_accuracy": Column("Baseline", "share"),
                    "drift_margin": Column("Margin (points)", "points"),
                    "n_settled": Column("Settled", "count"),
                    "n_predictions": Column("judged", "count"),
                    "n_effective": Column("that count", "number"),
                    "status": Column("Status", "verdict"),
                    "reading": Column("Reading", "verdict"),
                },
                "Days on which forecasts settled, newest first",
                at_most=30,
            ),
        ),
    )


def _evidence(frames: Frames, choice: Choice) -> Content:
    evidence = frames["evidence"]
    if evidence.empty:
        return Empty("No evidence has gathered for this series yet.")
    named = evidence.assign(
        name=evidence["horizon"] + ", " + evidence["test"].map(spelled)
    )
    n_alarms = int(evidence["is_alarm"].fillna(False).sum())
    return (
        Block(
            notes=(
                f"{n_alarms} of {len(evidence)} tests are in alarm. They may "
                "be looked at every day: the threshold holds for all of them "
                "together. Pooled tests are about all series of the timeframe.",
            ),
            figure=evidence_figure(named[named["evidence"].notna()]),
            table=Table(
                named,
                {
                    "horizon": Column("Horizon"),
                    "test": Column("Test", "verdict"),
                    "evidence": Column("Evidence", "number"),
                    "threshold": Column("Threshold", "number"),
                    "is_alarm": Column("Alarm", "verdict"),
                    "is_discovery": Column("Discovery", "verdict"),
                    "alarm_since": Column("Since (UTC)", "time"),
                    "n_settled": Column("Settled", "count"),
                    "last_settled_at": Column("Last settled (UTC)", "time"),
                },
                "Evidence against what was promised, with its threshold",
            ),
        ),
    )


def _features(frames: Frames, choice: Choice) -> Content:
    features = frames["features"]
    if features.empty:
        return Empty("No feature of this series is compared yet.")
    if not (features["n_reference"] > 0).any():
        return Empty(
            "There are no rows of the time of training to compare with."
        )
    named = features.assign(name=features["feature"].map(spelled))
    return (
        Block(
            notes=(
                "What features do says little of what forecasts are worth; "
                "look here where evidence asks why.",
            ),
            figure=features_figure(named.head(N_FEATURES)),
            table=Table(
                named,
                {
                    "name": Column("Feature"),
                    "stability_index": Column("Stability index", "number"),
                    "stability_index_by_chance": Column("by chance", "number"),
                    "reference_missing_rate": Column("Missing then", "share"),
                    "recent_missing_rate": Column("now", "share"),
                    "n_reference": Column("Rows then", "count"),
                    "n_recent": Column("now", "count"),
                    "trained_as_of": Column("Trained as of (UTC)", "time"),
                },
                "Features beside those of the time of training, those that "
                "moved most first",
            ),
        ),
    )


def _checks(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["checks"],
        {
            "checked_at": Column("Checked (UTC)", "time"),
            "accuracy": Column("Accuracy", "share"),
            "baseline_accuracy": Column("Baseline", "share"),
            "drift_margin": Column("Margin (points)", "points"),
            "n_predictions": Column("Forecasts", "count"),
            "status": Column("Status", "verdict"),
            "recommendation": Column("Recommended", "verdict"),
        },
        "Checks of this series, newest first",
        at_most=20,
        empty=Empty(
            "This series has not been checked yet.", "swiftbolt check-drift"
        ),
    )


def _alerts(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["alerts"],
        {
            "severity": Column("Severity", "verdict"),
            "subject": Column("About"),
            "message": Column("What is seen"),
            "state": Column("State"),
            "first_seen_at": Column("Since (UTC)", "time"),
            "resolved_at": Column("Until (UTC)", "time"),
        },
        "Alerts, newest first",
        at_most=30,
        empty=Empty("There has been no alert."),
    )


def _sections(choice: Choice) -> tuple[Section, ...]:
    series = f"{choice.symbol} {choice.timeframe}"
    return (
        Section(
            "status",
            "Accuracy against baseline, all series",
            {"status": queries.STATUS},
            _status,
        ),
        Section(
            "rolling",
            f"Over time, {series}",
            {"days": queries.DAYS},
            _rolling,
        ),
        Section(
            "evidence",
            f"Evidence against its threshold, {series}",
            {"evidence": queries.EVIDENCE},
            _evidence,
        ),
        Section(
            "features",
            f"Features that moved, {series}",
            {"features": queries.FEATURES},
            _features,
        ),
        Section(
            "alerts",
            "Alerts and their history",
            {"alerts": overview_queries.ALERT_HISTORY},
            _alerts,
            command="swiftbolt alerts check",
        ),
        Section(
            "checks",
            f"Checks, {series}",
            {"checks": queries.CHECKS},
            _checks,
            command="swiftbolt check-drift",
        ),
    )


PAGE = Page(
    "drift",
    "Drift",
    "Whether forecasts are still as good as validation promised.",
    ("symbol", "timeframe"),
    _sections,
)
