"""What the suites found, to print, to store and to raise."""

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

# As many keys of violations are kept.
N_SAMPLES = 20

Status = Literal["passed", "failed", "not_applicable"]


@dataclass(frozen=True, slots=True)
class ExpectationOutcome:
    """What one expectation, or one check of the gate's own, found.

    Parameters
    ----------
    expectation : str
    is_success : bool
    severity : {"critical", "warning", "info"}
        Only a critical failure closes the gate.
    column_name : str, optional
    n_unexpected : int, optional
        Violations, when they can be counted.
    samples : tuple of dict
        Keys of at most 20 of them.
    reason : str, optional
        Why it failed or was not judged, when it is not the rows that say so.
    parameters : dict
        As the suite gives them.
    description : str, optional
        What is expected, in a sentence.
    series : tuple of (int, str)
        Symbol and timeframe of all series at fault, where the expectation is
        about single series and only they are: they are set aside.
    """

    expectation: str
    is_success: bool
    severity: str = "critical"
    column_name: str | None = None
    n_unexpected: int | None = None
    samples: tuple[dict[str, Any], ...] = ()
    reason: str | None = None
    parameters: Mapping[str, Any] | None = None
    description: str | None = None
    series: tuple[tuple[int, str], ...] = ()

    @property
    def closes_gate(self) -> bool:
        """Whether nothing may be trained or forecast on these rows."""
        return (
            not self.is_success
            and self.severity == "critical"
            and not self.series
        )

    @property
    def verdict(self) -> str:
        """What a failure means, in a word."""
        if self.closes_gate:
            return "FAILED"
        return "series" if self.series else self.severity

    def describe(self) -> str:
        """Say in a few words what was found."""
        name = self.expectation
        if self.column_name is not None:
            name += f" ({self.column_name})"
        if self.reason is not None:
            return f"{name}: {self.reason}"
        found = (
            "failed"
            if self.n_unexpected is None
            else f"{self.n_unexpected} violations"
        )
        if self.samples:
            keys = " ".join(
                f"{key}={value}" for key, value in self.samples[0].items()
            )
            found += f", such as {keys}"
        if self.series:
            found += f"; sets aside {len(self.series)} series"
        return f"{name}: {found}"


@dataclass(frozen=True, slots=True)
class SuiteSummary:
    """What one suite found in its dataset.

    Parameters
    ----------
    suite : str
    dataset : str
        Table or view and the condition on its rows.
    n_rows : int or None
        None when they could not be counted.
    outcomes : tuple of ExpectationOutcome
    """

    suite: str
    dataset: str
    n_rows: int | None
    outcomes: tuple[ExpectationOutcome, ...]
    is_applicable: bool = True

    @property
    def status(self) -> Status:
        """Failed if any critical expectation failed."""
        if any(outcome.closes_gate for outcome in self.outcomes):
            return "failed"
        return "passed" if self.is_applicable else "not_applicable"

    @property
    def n_passed(self) -> int:
        """Number of expectations that passed."""
        return sum(outcome.is_success for outcome in self.outcomes)

    def lines(self) -> list[str]:
        """One line for people, and one for each expectation that failed."""
        if not self.is_applicable and self.status == "not_applicable":
            return [f"{self.suite}: not applicable, {self.outcomes[0].reason}"]
        rows = "rows unknown" if self.n_rows is None else f"{self.n_rows} rows"
        lines = [
            f"{self.suite}: {self.status}, {self.n_passed} of "
            f"{len(self.outcomes)} expectations, {rows}"
        ]
        lines += [
            f"  {outcome.verdict} {outcome.describe()}"
            for outcome in self.outcomes
            if not outcome.is_success
        ]
        return lines


@dataclass(frozen=True, slots=True)
class ValidationSummary:
    """What all suites found.

    Parameters
    ----------
    validated_at : datetime
        Marks this validation's rows of `ml.validation_results`.
    suites : tuple of SuiteSummary
    seconds : float, default=0
        How long they took.
    page : Path, optional
        Where all of this can be read, if pages were written.
    """

    validated_at: datetime.datetime
    suites: tuple[SuiteSummary, ...]
    seconds: float = 0
    page: Path | None = None

    @property
    def is_success(self) -> bool:
        """Whether the gate is open."""
        return not any(suite.status == "failed" for suite in self.suites)

    @property
    def n_expectations(self) -> int:
        """Number of expectations judged."""
        return sum(
            len(suite.outcomes) for suite in self.suites if suite.is_applicable
        )

    @property
    def n_failed(self) -> int:
        """Number of expectations that close the gate."""
        return sum(
            outcome.closes_gate
            for suite in self.suites
            for outcome in suite.outcomes
        )

    @property
    def n_warnings(self) -> int:
        """Number of expectations that failed without closing the gate."""
        return sum(
            not outcome.is_success and not outcome.closes_gate
            for suite in self.suites
            for outcome in suite.outcomes
        )

    @property
    def n_series(self) -> int:
        """Number of series that an expectation sets aside."""
        return len(
            {
                series
                for suite in self.suites
                for outcome in suite.outcomes
                for series in outcome.series
            }
        )

    def counts(self) -> dict[str, int]:
        """Numbers for the record of the job."""
        return {
            "expectations": self.n_expectations,
            "failed": self.n_failed,
            "warnings": self.n_warnings,
            "series_set_aside": self.n_series,
        }

    def to_text(self) -> str:
        """Text for people: the verdict, each suite and each failure."""
        verdict = "passed" if self.is_success else "FAILED"
        return "\n".join(
            [
                *(line for suite in self.suites for line in suite.lines()),
                f"validation {verdict}: {self.n_failed} of "
                f"{self.n_expectations} expectations failed, "
                f"{self.n_warnings} warnings, {self.seconds:.1f} s",
                *([] if self.page is None else [f"read it in {self.page}"]),
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, of types that JSON knows."""
        return {
            "validated_at": self.validated_at.isoformat(),
            "is_success": self.is_success,
            "seconds": round(self.seconds, 1),
            "page": None if self.page is None else str(self.page),
            "suites": [
                {
                    "suite": suite.suite,
                    "dataset": suite.dataset,
                    "status": suite.status,
                    "n_rows": suite.n_rows,
                    "expectations": [
                        asdict(outcome) for outcome in suite.outcomes
                    ],
                }
                for suite in self.suites
            ],
        }
