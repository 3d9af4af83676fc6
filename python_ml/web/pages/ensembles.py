"""Which ensembles there are, what they weigh and why one is live."""

from collections.abc import Iterator

import pandas as pd

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
from python_ml.web.figures.ensembles import spans_figure, weights_figure
from python_ml.web.pages.shared import listing, sentence, spelled
from python_ml.web.queries import ensembles as queries

NOT_YET = "This series has not been trained yet."
COMMAND = "swiftbolt train --all"
VALIDATION_COLUMNS = {
    "skill": Column("Skill (%)", "skill"),
    "skill_se": Column("standard error", "error"),
    "ensemble_validation_accuracy": Column("Accuracy", "share"),
    "baseline_accuracy": Column("Baseline", "share"),
    "n_fit": Column("Rows fitted", "count"),
    "n_validation": Column("validated", "count"),
}


def _weights(frames: Frames, choice: Choice) -> Content:
    weights = frames["weights"]
    if weights.empty:
        return Empty(NOT_YET, COMMAND)
    newest = weights[weights["effective_at"] == weights["effective_at"].max()]
    return (
        Block(
            notes=tuple(map(sentence, newest["reason"].dropna().unique()[:1])),
            figure=weights_figure(weights),
            table=Table(
                weights.sort_values(
                    ["effective_at", "weight"], ascending=[False, False]
                ),
                {
                    "member": Column("Member", "verdict"),
                    "weight": Column("Weight", "share"),
                    "method": Column("Fitted by"),
                    "effective_at": Column("Live from (UTC)", "time"),
                    "superseded_at": Column("until (UTC)", "time"),
                    "version_id": Column("Version", "version"),
                    "reason": Column("Why"),
                },
                "Weights while they were live, newest first",
            ),
        ),
    )


def _spans(frames: Frames, choice: Choice) -> Content:
    spans = frames["spans"]
    if spans.empty:
        return Empty("Nothing is deployed for this series.", COMMAND)
    ends = pd.concat([spans["effective_at"], spans["superseded_at"]]).max()
    until = max(ends + pd.Timedelta(days=30), spans["effective_at"].max())
    return (
        Block(
            notes=(
                "What is still live is drawn as far as 30 days after the last "
                "change.",
            ),
            figure=spans_figure(spans, until=until),
            table=Table(
                spans.sort_values("effective_at", ascending=False),
                {
                    "horizon": Column("Horizon"),
                    "version_id": Column("Version", "version"),
                    "effective_at": Column("Live from (UTC)", "time"),
                    "superseded_at": Column("until (UTC)", "time"),
                    "reason": Column("Why"),
                    "created_at": Column("Decided (UTC)", "time"),
                },
                "Deployments, newest first",
            ),
        ),
    )


def _versions(frames: Frames, choice: Choice) -> Content:
    return listing(
        frames["versions"],
        {
            "version_id": Column("Version", "version"),
            "as_of": Column("As of (UTC)", "time"),
            **VALIDATION_COLUMNS,
            "is_overfit": Column("Overfit", "verdict"),
            "weight_method": Column("Weights by"),
            "created_at": Column("Trained (UTC)", "time"),
        },
        f"Versions with what validation said of {choice.horizon}, newest first",
        at_most=30,
        empty=Empty(NOT_YET, COMMAND),
    )


def _compare(frames: Frames, choice: Choice) -> Content:
    runs, weights = frames["runs"], frames["weights"]
    if not choice.left or not choice.right:
        return Empty(
            "Two versions of a series can be compared once there are two.",
            COMMAND,
        )
    sides = {choice.left: "left", choice.right: "right"}
    return (
        Block(
            notes=(
                f"Left: {choice.left}. Right: {choice.right}. Numbers of "
                "validation are of different bars where the versions are of "
                "different days; swiftbolt models compare judges both on the "
                "same bars.",
            ),
            table=Table(
                runs.assign(side=runs["version_id"].map(sides)),
                {
                    "horizon": Column("Horizon"),
                    "side": Column("Side"),
                    **VALIDATION_COLUMNS,
                    "weight_reason": Column("Weights"),
                },
                "What validation said of both",
            ),
        ),
        Block(
            title="Weights side by side",
            table=Table(
                _side_by_side(weights, choice),
                {
                    "horizon": Column("Horizon"),
                    "member": Column("Member", "verdict"),
                    "left": Column("Left", "share"),
                    "right": Column("Right", "share"),
                    "difference": Column("Difference", "signed"),
                },
                "Weights of the members in both versions",
                at_most=80,
            ),
        ),
    )


def _side_by_side(weights: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """Weights of two versions in two columns; absent members weigh nothing."""
    keys = ["horizon", "member"]
    left, right = (
        weights[weights["version_id"] == version].set_index(keys)["weight"]
        for version in (choice.left, choice.right)
    )
    both = pd.DataFrame({"left": left, "right": right}).fillna(0.0)
    both["difference"] = both["right"] - both["left"]
    return both.reset_index()


def verdicts(newest: pd.DataFrame) -> Iterator[str]:
    """What was decided last, horizons with one reason in one sentence."""
    for (is_promoted, reason), rows in newest.groupby(
        ["is_promoted", "reason"], sort=False
    ):
        verdict = "promoted" if is_promoted else "not promoted"
        yield f"{', '.join(rows['horizon'])}: {verdict}. {sentence(reason)}"


def _promotions(frames: Frames, choice: Choice) -> Content:
    rows = frames["promotions"]
    if rows.empty:
        return Empty(
            "Nothing of this timeframe has been up for promotion.", COMMAND
        )
    newest = rows[rows["created_at"] == rows["created_at"].max()]
    return (
        Block(
            notes=tuple(verdicts(newest)),
            table=Table(
                rows.assign(verdict=rows["verdict"].map(spelled)),
                {
                    "created_at": Column("Decided (UTC)", "time"),
                    "horizon": Column("Horizon"),
                    "verdict": Column("Verdict"),
                    "is_promoted": Column("Promoted", "verdict"),
                    "mean_difference": Column("Log loss less live", "signed"),
                    "mean_difference_se": Column("standard error", "number"),
                    "climatology_difference": Column(
                        "less climatology", "signed"
                    ),
                    "n_blocks": Column("Blocks", "count"),
                    "n_series": Column("Series", "count"),
                    "reason": Column("Why"),
                },
                "Verdicts over all series of the timeframe, newest first; "
                "below 0 is better",
                at_most=20,
            ),
        ),
    )


def _sections(choice: Choice) -> tuple[Section, ...]:
    series = f"{choice.symbol} {choice.timeframe}"
    return (
        Section(
            "weights",
            f"Weights over time, {series} {choice.horizon}",
            {"weights": queries.WEIGHTS},
            _weights,
        ),
        Section(
            "deployments",
            f"What was live when, {series}",
            {"spans": queries.SPANS},
            _spans,
            command=COMMAND,
        ),
        Section(
            "promotions",
            f"Verdicts, {choice.timeframe}",
            {"promotions": queries.PROMOTIONS},
            _promotions,
            command=COMMAND,
        ),
        Section(
            "versions",
            f"Versions, {series}",
            {"versions": queries.VERSIONS},
            _versions,
            command=COMMAND,
        ),
        Section(
            "compare",
            "Two versions side by side",
            {
                "runs": queries.COMPARED_RUNS,
                "weights": queries.COMPARED_WEIGHTS,
            },
            _compare,
            command=COMMAND,
        ),
    )


PAGE = Page(
    "ensembles",
    "Ensembles",
    "Which versions there are, what their members weigh, and why one is live.",
    ("symbol", "timeframe", "horizon", "versions"),
    _sections,
)
