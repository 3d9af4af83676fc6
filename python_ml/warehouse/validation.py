"""Validation of the warehouse by the suites of `expectations/`.

It stands beside the dbt build, whose tables it judges, so that training, the
daily job and the command line all find it below them. What the suites find is
written to `ml.validation_results`, a row for each expectation, before anything
is raised; a validation of everything leaves pages too.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from expectations.summary import ValidationSummary
from python_ml.console.logs import get_logger, log_event
from python_ml.console.progress import progress
from python_ml.exceptions import (
    SchemaError,
    ServerError,
    ValidationFailedError,
)
from python_ml.schema import training_cuts, validation_results
from python_ml.settings import Settings
from python_ml.warehouse.connection import SCHEMAS, Warehouse
from python_ml.warehouse.errors import translate_database_error
from python_ml.warehouse.quarantine import (
    EXPECTATION,
    Finding,
    read_set_aside,
    set_aside,
)

if TYPE_CHECKING:
    from expectations.gate import Validation

logger = get_logger(__name__)

N_FAILURES_NAMED = 3


def validate(
    warehouse: Warehouse,
    *,
    cut_ids: Sequence[int] | None = None,
    job_run_id: int | None = None,
) -> ValidationSummary:
    """Run the suites and close the gate if anything failed.

    Parameters
    ----------
    warehouse : Warehouse
    cut_ids : sequence of int, optional
        Judge only the training examples of these cuts of `ml.training_cuts`,
        as training does before it fits. By default every suite is run, over
        the newest cut of each calendar and timeframe.
    job_run_id : int, optional
        Recorded with the results.

    Raises
    ------
    ValidationFailedError
        If an expectation failed or could not be judged: a suite is missing,
        unknown or loaded in part, a table is missing or empty, the server
        does not answer. The results are written first where they can be.
        What fails for single series sets these aside and raises nothing; of
        given cuts it does unless they are set aside already, since what is
        learnt from the others is learnt from their rows as well.
    """
    summary = judge(
        warehouse,
        cut_ids=cut_ids,
        job_run_id=job_run_id,
        pages_dir=(
            default_pages_dir(warehouse.settings) if cut_ids is None else None
        ),
    )
    raise_on_failure(
        summary,
        may_fail=None if cut_ids is None else _set_aside_keys(warehouse),
    )
    return summary


def _set_aside_keys(warehouse: Warehouse) -> set[tuple[int, str]]:
    """Symbol and timeframe of every series that is set aside."""
    found = read_set_aside(warehouse).series
    return {*zip(found["symbol_id"], found["timeframe"], strict=True)}


def default_pages_dir(settings: Settings) -> Path:
    """Folder of the pages that a validation of everything leaves."""
    return settings.home / "validation"


def judge(
    warehouse: Warehouse,
    *,
    cut_ids: Sequence[int] | None = None,
    job_run_id: int | None = None,
    pages_dir: Path | None = None,
) -> ValidationSummary:
    """Run the suites and write the results; see `validate`.

    Returns whatever the suites found. Raises ValidationFailedError only when
    nothing can be judged or recorded.

    Parameters
    ----------
    warehouse, cut_ids, job_run_id
        As in `validate`.
    pages_dir : Path, optional
        Folder for the pages of `expectations.pages.write_pages`.
    """
    # Great Expectations takes seconds to import.
    from expectations.checks import ContextError
    from expectations.gate import run_suites

    settings = warehouse.settings
    try:
        validation = run_suites(
            warehouse.parameters.url(),
            context_dir=settings.expectations_dir,
            pages_dir=pages_dir or settings.home,
            schemas={name: settings.schema(name) for name in SCHEMAS},
            cut_ids=_choose_cuts(warehouse, cut_ids),
            is_cuts_only=cut_ids is not None,
            track=lambda suites: progress(
                suites, total=len(suites), description="validating"
            ),
            explain=_explain,
        )
        _write(warehouse, validation.summary, job_run_id)
        if cut_ids is None:
            _set_aside(warehouse, validation.summary, job_run_id)
    except ContextError as error:
        raise ValidationFailedError(str(error)) from error
    except (sa.exc.SQLAlchemyError, ServerError, SchemaError) as error:
        raise ValidationFailedError(
            f"The warehouse could not be validated. {_explain(error)}"
        ) from error
    summary = validation.summary
    if pages_dir is not None:
        summary = replace(summary, page=_write_pages(validation, pages_dir))
    log_event(logger, "validated", **summary.counts())
    return summary


def raise_on_failure(
    summary: ValidationSummary,
    *,
    may_fail: Collection[tuple[int, str]] | None = None,
) -> None:
    """Close the gate.

    Parameters
    ----------
    summary : ValidationSummary
    may_fail : collection of (int, str), optional
        Series whose own faults do not close it; by default all.

    Raises
    ------
    ValidationFailedError
        Naming what failed, unless nothing did.
    """
    failures = [
        f"{suite.suite} {outcome.describe()}"
        for suite in summary.suites
        for outcome in suite.outcomes
        if outcome.closes_gate
        or (may_fail is not None and not set(outcome.series) <= set(may_fail))
    ]
    if not failures:
        return
    named = "; ".join(failures[:N_FAILURES_NAMED])
    if len(failures) > N_FAILURES_NAMED:
        named += f"; and {len(failures) - N_FAILURES_NAMED} more"
    page = "" if summary.page is None else f" and in {summary.page}"
    raise ValidationFailedError(
        f"{len(failures)} of {summary.n_expectations} expectations failed: "
        f"{named}. All are in ml.validation_results where validated_at = "
        f"'{summary.validated_at.isoformat()}'{page}; mend the cause, then "
        "run: swiftbolt validate"
    )


def _choose_cuts(
    warehouse: Warehouse, cut_ids: Sequence[int] | None
) -> tuple[int, ...]:
    """Cuts to judge; empty only for the newest ones, before any training.

    The newest ones are those of timeframes that are built.
    """
    column = training_cuts.c.cut_id
    with warehouse.begin() as connection:
        if cut_ids is None:
            rank = sa.func.row_number().over(
                partition_by=(
                    training_cuts.c.calendar,
                    training_cuts.c.timeframe,
                ),
                order_by=(training_cuts.c.as_of.desc(), column.desc()),
            )
            is_built = warehouse.sql(
                "timeframe in (select timeframe from {features}.timeframes)"
            )
            ranked = (
                sa.select(column, rank.label("rank"))
                .where(sa.text(is_built))
                .subquery()
            )
            newest = sa.select(ranked.c.cut_id).where(ranked.c.rank == 1)
            return tuple(sorted(connection.scalars(newest)))
        chosen = sa.select(column).where(column.in_(cut_ids))
        known: set[int] = set(connection.scalars(chosen))
    if unknown := sorted(set(cut_ids) - known):
        raise ValidationFailedError(
            f"Cuts {unknown} were to be validated but are not in "
            "ml.training_cuts. Training writes them: swiftbolt train --all"
        )
    if not known:
        raise ValidationFailedError(
            "No cut was named to be validated; pass cut_ids=None for the "
            "newest ones."
        )
    return tuple(sorted(known))


def _write(
    warehouse: Warehouse, summary: ValidationSummary, job_run_id: int | None
) -> None:
    rows = [
        {
            "job_run_id": job_run_id,
            "validated_at": summary.validated_at,
            "suite": suite.suite,
            "dataset": suite.dataset,
            "expectation": outcome.expectation,
            "column_name": outcome.column_name,
            "is_success": outcome.is_success,
            "n_rows": suite.n_rows,
            "n_unexpected": outcome.n_unexpected,
            "details": {
                "severity": outcome.severity,
                "parameters": dict(outcome.parameters or {}),
                "reason": outcome.reason,
                "samples": list(outcome.samples),
            },
        }
        for suite in summary.suites
        for outcome in suite.outcomes
    ]
    with warehouse.begin() as connection:
        connection.execute(sa.insert(validation_results), rows)


def _set_aside(
    warehouse: Warehouse, summary: ValidationSummary, job_run_id: int | None
) -> None:
    """Set aside the series that fail an expectation on single series."""
    findings = []
    judged = set()
    for suite in summary.suites:
        for outcome in suite.outcomes:
            source = f"{EXPECTATION} {suite.suite} {outcome.expectation}"
            if outcome.is_success or outcome.series:
                judged.add(source)
            findings += [
                Finding(
                    symbol_id=symbol_id,
                    timeframe=timeframe,
                    source=source,
                    reason=outcome.expectation,
                    details=f"it fails the expectation: {outcome.description}",
                )
                for symbol_id, timeframe in outcome.series
            ]
    set_aside(
        warehouse,
        findings,
        is_judged=judged.__contains__,
        job_run_id=job_run_id,
    )


def _write_pages(validation: "Validation", folder: Path) -> Path | None:
    """Write the pages if it can be done; the verdict stands without them."""
    from expectations.checks import one_line
    from expectations.pages import write_pages

    try:
        return write_pages(validation, folder)
    except Exception as error:
        log_event(
            logger,
            "pages_not_written",
            level=logging.WARNING,
            folder=folder,
            error=one_line(error),
        )
        return None


def _explain(error: Exception) -> str:
    from expectations.checks import one_line

    return one_line(translate_database_error(error) or error)
