"""Verdicts on the expectations of a suite, with the keys of violations.

Violations of all expectations are counted at once; only an expectation that
failed is run again, for the keys of some of its rows.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from great_expectations.core import (
    ExpectationSuite,
    ExpectationSuiteValidationResult,
    ExpectationValidationResult,
)
from great_expectations.datasource.fluent.interfaces import Batch
from great_expectations.expectations.expectation import Expectation

from expectations.checks import one_line
from expectations.plugins.keyed_rows import SCOPE
from expectations.series import SERIES, find_series, has_tag
from expectations.summary import N_SAMPLES, ExpectationOutcome

ROW_COUNT = "expect_table_row_count_to_be_between"


def judge_expectations(
    batch: Batch, suite: ExpectationSuite, explain: Callable[[Exception], str]
) -> tuple[list[ExpectationOutcome], ExpectationSuiteValidationResult]:
    """Judge all expectations of a suite, which are known by their ids.

    An expectation that raises takes those with it that are counted in the same
    scan, so of the first run only success counts.

    Parameters
    ----------
    batch : Batch
    suite : ExpectationSuite
    explain : callable
        Says in a line what an error means.
    """
    whole = batch.validate(suite, result_format="BASIC")
    counted = {
        result.expectation_config.id: result
        for result in whole.results
        if result.expectation_config is not None
    }
    outcomes = []
    results = []
    for expectation in suite.expectations:
        result = counted.get(expectation.id)
        if result is None or result.success is not True:
            outcome, result = _judge_alone(
                batch,
                expectation,
                keys=suite.meta.get("keys", []),
                counted=result,
                explain=explain,
            )
        else:
            outcome = _passed(expectation)
        outcomes.append(outcome)
        if result is not None:
            results.append(result)
    whole.results = results
    n_passed = sum(outcome.is_success for outcome in outcomes)
    whole.success = n_passed == len(outcomes)
    whole.statistics = {
        "evaluated_expectations": len(outcomes),
        "successful_expectations": n_passed,
        "unsuccessful_expectations": len(outcomes) - n_passed,
        "success_percent": 100 * n_passed / len(outcomes),
    }
    return outcomes, whole


def counted_rows(result: ExpectationSuiteValidationResult) -> int | None:
    """Rows of the batch, if an expectation of the suite counted them."""
    for verdict in result.results:
        configuration = verdict.expectation_config
        if configuration is not None and configuration.type == ROW_COUNT:
            n_rows = verdict.result.get("observed_value")
            return n_rows if isinstance(n_rows, int) else None
    return None


def _passed(expectation: Expectation) -> ExpectationOutcome:
    parameters = {
        key: value
        for key, value in expectation.configuration.kwargs.items()
        if key not in (*SCOPE, "batch_id")
    }
    return ExpectationOutcome(
        expectation.expectation_type,
        is_success=True,
        severity=str(expectation.severity.value),
        column_name=parameters.get("column"),
        parameters=parameters,
        description=expectation.description,
    )


def _judge_alone(
    batch: Batch,
    expectation: Expectation,
    *,
    keys: Sequence[str],
    counted: ExpectationValidationResult | None,
    explain: Callable[[Exception], str],
) -> tuple[ExpectationOutcome, ExpectationValidationResult | None]:
    """Judge an expectation by itself, with the keys of violations."""
    outcome = _passed(expectation)
    try:
        verdict = _verdict(
            batch,
            expectation,
            {
                "result_format": "SUMMARY",
                "unexpected_index_column_names": list(keys),
                "partial_unexpected_count": N_SAMPLES,
            },
        )
        series = (
            find_series(batch, expectation)
            if verdict.success is not True and has_tag(expectation, SERIES)
            else ()
        )
    except Exception as error:
        # What cannot be judged is no mere warning.
        failed = replace(
            outcome,
            is_success=False,
            severity="critical",
            reason=f"could not be judged: {explain(error)}",
        )
        return failed, counted
    if verdict.success is True:
        return outcome, verdict
    n_unexpected = verdict.result.get("unexpected_count")
    samples = _samples(verdict.result)
    # A column that is missing is no fault of those that break it besides.
    if not all("symbol_id" in sample for sample in samples):
        series = ()
    failed = replace(
        outcome,
        is_success=False,
        n_unexpected=n_unexpected,
        samples=samples,
        series=series,
        reason=(
            f"found {verdict.result.get('observed_value')}"
            if n_unexpected is None
            else None
        ),
    )
    return failed, verdict


def _verdict(
    batch: Batch, expectation: Expectation, result_format: Any
) -> ExpectationValidationResult:
    """Validate, raising what Great Expectations only notes down."""
    verdict = batch.validate(expectation, result_format=result_format)
    message = _exception_message(verdict.exception_info)
    if message is not None:
        raise RuntimeError(message)
    return verdict


def _exception_message(exception_info: Any) -> str | None:
    """Message of what was raised: one for all or one for each metric."""
    if not exception_info:
        return None
    if "raised_exception" not in exception_info:
        messages = map(_exception_message, exception_info.values())
        return next(filter(None, messages), None)
    if not exception_info["raised_exception"]:
        return None
    return one_line(exception_info.get("exception_message") or "no message")


def _samples(result: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    rows = (
        result.get("partial_unexpected_index_list")
        or result.get("partial_unexpected_list")
        or ()
    )
    return tuple(
        {key: _plain(value) for key, value in row.items()}
        if isinstance(row, Mapping)
        else {"value": _plain(row)}
        for row in rows[:N_SAMPLES]
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC).isoformat()
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
