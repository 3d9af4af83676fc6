"""The gate: run every suite over the warehouse and fail closed.

Great Expectations itself neither raises nor exits on failed data, on a suite
that loaded in part, on an empty table or on a dead server. Here each of these
is a failed outcome. The rows stay in the database: all conditions on the rows
of a table are counted in one scan of it.

Nothing here knows of the code that calls it: it is told where the warehouse is
and returns what was found, to be recorded and acted on elsewhere.
"""

import datetime
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from great_expectations.core import (
    ExpectationSuite,
    ExpectationSuiteValidationResult,
)
from great_expectations.data_context.data_context.file_data_context import (
    FileDataContext,
)

from expectations.checks import CheckFailed, failed_check, one_line
from expectations.context import close_connections, load_suite, open_context
from expectations.datasets import (
    CUT_SUITE,
    Scope,
    count_rows,
    name_dataset,
    open_batch,
    read_calendars,
    set_scope,
)
from expectations.series import VALUES, has_tag, is_shared_fault
from expectations.summary import (
    ExpectationOutcome,
    SuiteSummary,
    ValidationSummary,
)
from expectations.verdicts import counted_rows, judge_expectations

# Each is a file of `suites/` and an asset of great_expectations.yml.
SUITES = ("bars", "feature_rows", "labels", "training_examples")

_Judged = tuple[SuiteSummary, ExpectationSuiteValidationResult | None]


@dataclass(frozen=True, slots=True)
class Validation:
    """What the suites found, and what its pages are made from.

    Parameters
    ----------
    summary : ValidationSummary
    context : FileDataContext
    results : mapping of str to ExpectationSuiteValidationResult
        By suite, of those that could be judged.
    """

    summary: ValidationSummary
    context: FileDataContext
    results: Mapping[str, ExpectationSuiteValidationResult]


def run_suites(
    database_url: str,
    *,
    context_dir: Path,
    pages_dir: Path,
    schemas: Mapping[str, str],
    cut_ids: Sequence[int],
    is_cuts_only: bool = False,
    track: Callable[[Sequence[str]], Iterable[str]] = iter,
    explain: Callable[[Exception], str] = one_line,
) -> Validation:
    """Run the suites, whatever they find.

    Parameters
    ----------
    database_url : str
        Of the warehouse, as libpq takes it.
    context_dir : Path
        Folder of `great_expectations.yml` and `suites/`.
    pages_dir : Path
        Folder that `expectations.pages.write_pages` will write to, if called.
    schemas : mapping of str to str
        Full name of each schema that the queries name.
    cut_ids : sequence of int
        Cuts of `ml.training_cuts` whose training examples are judged; without
        any that suite is not applicable.
    is_cuts_only : bool, default=False
        Run the suite of the training examples alone.
    track : callable, optional
        Iterates over the suites' names, showing progress.
    explain : callable, optional
        Says in a line what an error means.

    Raises
    ------
    ContextError
        If there is no Great Expectations context that opens.
    """
    started = time.monotonic()
    scope = Scope(schemas, tuple(cut_ids), explain)
    context = open_context(
        database_url, context_dir=context_dir, pages_dir=pages_dir
    )
    try:
        judged = tuple(
            _judge_suite(context, name, context_dir=context_dir, scope=scope)
            for name in track((CUT_SUITE,) if is_cuts_only else SUITES)
        )
    finally:
        close_connections(context)
    summary = ValidationSummary(
        validated_at=datetime.datetime.now(datetime.UTC),
        suites=(
            *(suite for suite, _ in judged),
            *_unknown_suites(context_dir / "suites"),
        ),
        seconds=time.monotonic() - started,
    )
    results = {
        suite.suite: result for suite, result in judged if result is not None
    }
    return Validation(summary, context, results)


def _judge_suite(
    context: FileDataContext, name: str, *, context_dir: Path, scope: Scope
) -> _Judged:
    """Judge one suite; also Great Expectations' own result, for its pages."""
    dataset = name
    n_rows = None
    result = None
    outcomes: list[ExpectationOutcome]
    try:
        suite = load_suite(context, name, context_dir=context_dir)
        dataset = name_dataset(suite, scope)
        if name == CUT_SUITE and not scope.cut_ids:
            count_rows(
                context, f"(select * from {dataset} limit 0) as none", scope
            )
            return _not_applicable(name, dataset), None
        batch = open_batch(context, name, dataset=dataset, scope=scope)
        set_scope(suite, scope, dataset)
        for number, expectation in enumerate(suite.expectations):
            # Results come in no set order; this finds each one's expectation.
            expectation.id = str(uuid.UUID(int=number))
        outcomes, result = judge_expectations(batch, suite, scope.explain)
        outcomes = _without_shared_faults(context, suite, outcomes, scope)
        n_rows = counted_rows(result)
        if n_rows is None:
            n_rows = count_rows(context, dataset, scope)
    except CheckFailed as failure:
        outcomes = [failure.outcome]
    else:
        # A suite need not look for it: nearly all pass on no rows at all.
        if n_rows == 0 and all(outcome.is_success for outcome in outcomes):
            outcomes.append(
                failed_check(
                    "dataset_is_not_empty",
                    f"{dataset} has no rows. Build it with: swiftbolt run",
                )
            )
    return SuiteSummary(name, dataset, n_rows, tuple(outcomes)), result


def _without_shared_faults(
    context: FileDataContext,
    suite: ExpectationSuite,
    outcomes: list[ExpectationOutcome],
    scope: Scope,
) -> list[ExpectationOutcome]:
    """Name no series where what fails is no matter of single series."""
    if not any(outcome.series for outcome in outcomes):
        return outcomes
    calendars = read_calendars(context, scope)
    return [
        replace(outcome, series=())
        if is_shared_fault(
            outcome.series,
            calendars,
            is_about_values=has_tag(expectation, VALUES),
        )
        else outcome
        for expectation, outcome in zip(
            suite.expectations, outcomes, strict=True
        )
    ]


def _not_applicable(name: str, dataset: str) -> SuiteSummary:
    outcome = ExpectationOutcome(
        "not_applicable",
        is_success=True,
        severity="info",
        reason="no cut yet: ml.training_cuts is empty until the first training",
    )
    return SuiteSummary(name, dataset, 0, (outcome,), is_applicable=False)


def _unknown_suites(folder: Path) -> tuple[SuiteSummary, ...]:
    """Fail for what lies among the suites and nobody would run."""
    if not folder.is_dir():
        return ()
    known = {f"{name}.json" for name in SUITES}
    return tuple(
        SuiteSummary(
            path.stem,
            "none",
            None,
            (
                failed_check(
                    "suite_is_known",
                    f"nothing runs {path}; add it to SUITES of "
                    "expectations/gate.py and to great_expectations.yml, or "
                    "remove it",
                ),
            ),
        )
        for path in sorted(folder.iterdir())
        if path.name not in known and not path.name.startswith(".")
    )
