"""Pages of a validation, to be read in a browser without a network.

`summary.html` is one file with everything that failed. `data_docs/` holds
Great Expectations' own pages, a page for each suite and its result; they are
built offline too, but take their styles from the network and are plain text
without it. What was found in the data is no markup in either.
"""

import copy
import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from great_expectations.core import (
    ExpectationSuiteValidationResult,
    RunIdentifier,
)
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)

from expectations.gate import Validation
from expectations.summary import (
    ExpectationOutcome,
    SuiteSummary,
    ValidationSummary,
)

SUMMARY_PAGE = "summary.html"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; color: #1b1f24; }
h2 { margin: 2rem 0 0.2rem; }
p { margin: 0.2rem 0; }
table { border-collapse: collapse; margin: 0.5rem 0 1rem; }
td, th { border-bottom: 1px solid #d5d9de; padding: 0.15rem 0.7rem 0.15rem 0;
  text-align: left; vertical-align: top; }
code { font-size: 0.9em; }
.passed { color: #116329; }
.failed { color: #b3261e; font-weight: 600; }
.warning, .not_applicable, .info { color: #7a5200; }
.scroll { overflow-x: auto; font-size: 0.85em; }
"""


def summary_page(summary: ValidationSummary) -> str:
    """All that was found as one page of HTML that needs no other file."""
    verdict = "passed" if summary.is_success else "failed"
    counts = (
        f"{summary.n_failed} of {summary.n_expectations} expectations failed, "
        f"{summary.n_warnings} warnings"
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f"<title>Validation {verdict}</title>",
            f"<style>{STYLE}</style></head><body>",
            f'<h1>Validation <span class="{verdict}">{verdict}</span></h1>',
            f"<p>{summary.validated_at:%Y-%m-%d %H:%M:%S} UTC, {counts}, "
            f"{summary.seconds:.1f} s</p>",
            *(line for suite in summary.suites for line in _section(suite)),
            "</body></html>",
            "",
        ]
    )


def _section(suite: SuiteSummary) -> Iterator[str]:
    rows = "rows unknown" if suite.n_rows is None else f"{suite.n_rows:,} rows"
    yield (
        f"<h2>{html.escape(suite.suite)} "
        f'<span class="{suite.status}">{suite.status.replace("_", " ")}</span>'
        "</h2>"
    )
    yield f"<p><code>{html.escape(suite.dataset)}</code>, {rows}</p>"
    # What failed stands first.
    for outcome in sorted(
        suite.outcomes, key=lambda outcome: outcome.is_success
    ):
        yield from _block(outcome)


def _block(outcome: ExpectationOutcome) -> Iterator[str]:
    if outcome.is_success:
        status = "passed"
    else:
        status = "failed" if outcome.closes_gate else outcome.severity
    yield (
        f'<p><span class="{html.escape(status)}">{html.escape(status)}</span> '
        f"<code>{html.escape(outcome.expectation)}</code> "
        f"{html.escape(outcome.description or '')}</p>"
    )
    if outcome.is_success:
        return
    found = outcome.reason or (
        "failed"
        if outcome.n_unexpected is None
        else f"{outcome.n_unexpected:,} violations"
    )
    yield f"<p>{html.escape(found)}</p>"
    if outcome.samples:
        yield from _table(outcome)


def _table(outcome: ExpectationOutcome) -> Iterator[str]:
    columns = list(
        dict.fromkeys(key for sample in outcome.samples for key in sample)
    )
    yield '<div class="scroll"><table><tr>'
    yield "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    yield "</tr>"
    for sample in outcome.samples:
        cells = "".join(
            f"<td>{html.escape(str(sample.get(column, '')))}</td>"
            for column in columns
        )
        yield f"<tr>{cells}</tr>"
    yield "</table></div>"
    if (outcome.n_unexpected or 0) > len(outcome.samples):
        yield (
            f"<p>The first {len(outcome.samples)} of "
            f"{outcome.n_unexpected:,}.</p>"
        )


def without_markup(value: Any) -> Any:
    """The same with brackets in texts that no browser reads as markup.

    Great Expectations escapes some of what it found in the data and puts the
    rest into its pages as it is. What looks the same and means nothing is safe
    in both.

    Examples
    --------
    >>> without_markup({"ticker": ["<b>", 1]})
    {'ticker': ['⟨b⟩', 1]}
    """
    if isinstance(value, str):
        return value.replace("<", "\u27e8").replace(">", "\u27e9")
    if isinstance(value, Mapping):
        return {
            without_markup(key): without_markup(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set):
        return type(value)(without_markup(item) for item in value)
    return value


def _harmless(
    result: ExpectationSuiteValidationResult,
) -> ExpectationSuiteValidationResult:
    """A copy of a suite's result, safe to make pages of."""
    copied = copy.deepcopy(result)
    for verdict in copied.results:
        verdict.result = without_markup(verdict.result)
        verdict.exception_info = without_markup(verdict.exception_info)
        if verdict.expectation_config is not None:
            # Their texts are the suite's own, their lists may be of tickers.
            verdict.expectation_config.kwargs = {
                name: value if isinstance(value, str) else without_markup(value)
                for name, value in verdict.expectation_config.kwargs.items()
            }
    return copied


def write_pages(validation: Validation, folder: Path) -> Path:
    """Write the pages of a validation over those of the one before.

    Parameters
    ----------
    validation : Validation
        Its context was opened with `folder` as the folder of the pages.
    folder : Path
        Made if need be.

    Returns
    -------
    Path
        The summary.
    """
    summary, context = validation.summary, validation.context
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    page = folder / SUMMARY_PAGE
    page.write_text(summary_page(summary), encoding="utf-8")
    run = RunIdentifier(run_name="validate", run_time=summary.validated_at)
    for suite, result in validation.results.items():
        context.validation_results_store.set(
            ValidationResultIdentifier(
                expectation_suite_identifier=ExpectationSuiteIdentifier(suite),
                run_id=run,
                batch_identifier=suite,
            ),
            _harmless(result),
        )
    context.build_data_docs()
    return page
