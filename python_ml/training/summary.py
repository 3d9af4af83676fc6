"""What a training did, for people and for machines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from python_ml.console.json_text import to_plain
from python_ml.console.text_tables import (
    to_records,
    to_text,
)
from python_ml.registry.promotion.cohort import Cohort
from python_ml.registry.promotion.decisions import Decision

COUNTS = ("trained", "up_to_date", "failed")
TABLE = {
    "ticker": "ticker",
    "timeframe": "timeframe",
    "horizon": "horizon",
    "outcome": "outcome",
    "train_accuracy": "train",
    "ensemble_validation_accuracy": "validation",
    "baseline_accuracy": "baseline",
    "majority_share": "majority",
    "skill": "skill",
    "skill_se": "+-",
    "overfit": "overfit",
    "in_band": "in 50-65%",
    "weighing": "weights",
}
LEGEND = (
    "train, validation: accuracy as deployed, validation in time order; "
    "baseline: of climatology;\nskill: of the weighed members, 1 - log loss / "
    "climatology's, with its standard error;\nwhere over all "
    "series it is not above 0, climatology is deployed alone."
)


@dataclass(frozen=True)
class TrainingSummary:
    """What a training did.

    Parameters
    ----------
    job_run_id : int
        Key in `ml.job_runs`.
    as_of : mapping of str to datetime
        By calendar.
    results : DataFrame
        One row per series and horizon, columns of `ml.training_runs` and
        `outcome`: trained, up to date or failed.
    decisions : DataFrame
        One row per timeframe and horizon decided on: `calendar`, `timeframe`,
        `horizon`, `verdict`, `n_deployed` of `n_versions`, `reason`.
    """

    job_run_id: int
    as_of: Mapping[str, datetime]
    results: pd.DataFrame
    decisions: pd.DataFrame = field(default_factory=pd.DataFrame)

    def count(self, outcome: str) -> int:
        """Number of series with an outcome."""
        rows = self.results[self.results["outcome"] == outcome]
        return len(rows[["ticker", "timeframe"]].drop_duplicates())

    def to_dict(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            "job_run_id": self.job_run_id,
            "as_of": to_plain(self.as_of),
            **{name: self.count(name.replace("_", " ")) for name in COUNTS},
            "results": to_plain(to_records(self.results)),
            "decisions": to_records(self.decisions),
        }

    def to_text(self) -> str:
        """The figures of every series and horizon, for people."""
        ends = ", ".join(
            f"{calendar} {end:%Y-%m-%d}" for calendar, end in self.as_of.items()
        )
        counts = ", ".join(
            f"{self.count(name.replace('_', ' '))} {name.replace('_', ' ')}"
            for name in COUNTS
        )
        lines = [f"Series as of {ends}: {counts}."]
        rows = self.results[self.results["status"] == "succeeded"]
        if len(rows):
            shown = rows.assign(
                overfit=rows["is_overfit"].map(_yes_or_no),
                in_band=rows["is_in_expected_band"].map(_yes_or_no),
                weighing=[
                    " ".join(
                        f"{name} {weight:.2f}" for name, weight in w.items()
                    )
                    for w in rows["weights"]
                ],
            )
            lines += ["", to_text(shown, columns=TABLE, at_most=len(shown))]
            lines += ["", LEGEND]
        if len(self.decisions):
            lines += [""]
        lines += [
            f"{row['timeframe']} {row['horizon']}: {row['n_deployed']} of "
            f"{row['n_versions']} deployed; {row['reason']}."
            for row in self.decisions.to_dict("records")
        ]
        failed = self.results[self.results["status"] == "failed"]
        lines += [
            f"Failed: {message}"
            for message in dict.fromkeys(
                _of_series(row) for row in failed.to_dict("records")
            )
        ]
        return "\n".join(lines)


def decision_frame(
    decisions: Sequence[tuple[Cohort, Decision]],
) -> pd.DataFrame:
    """Decisions as `TrainingSummary` holds them."""
    return pd.DataFrame(
        [
            {
                "calendar": cohort.calendar,
                "timeframe": cohort.timeframe,
                "horizon": decision.horizon,
                "verdict": decision.verdict.verdict,
                "n_deployed": len(decision.deployed_version_ids),
                "n_versions": len(decision.version_ids),
                "reason": decision.verdict.reason,
            }
            for cohort, decision in decisions
        ]
    )


def _yes_or_no(value: Any) -> str:
    return "yes" if value else "no"


def _of_series(row: Mapping[Any, Any]) -> str:
    """Error message of a failed run, beginning with its series."""
    message = str(row["error_message"])
    series = f"{row['ticker']} {row['timeframe']}"
    return message if message.startswith(series) else f"{series}: {message}"
