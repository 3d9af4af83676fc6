"""The gate: run every suite over the warehouse and fail closed.

Great Expectations itself neither raises nor exits on failed data, on a suite
that loaded in part, on an empty table or on a dead server. Here each of these
is a failure. What was found is written to `ml.validation_results`, a row for
each expectation, before anything is raised; a validation of everything leaves
pages too (`expectations/pages.py`).

The rows stay in the database. All conditions on the rows of a table are counted
in one scan of it; only an expectation that failed is asked again, for the keys
of some violations.
"""

import datetime
import json
import logging
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from expectations.summary import (
    ExpectationOutcome,
    SuiteSummary,
    ValidationSummary,
)
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.console.progress import progress
from python_ml.exceptions import (
    SchemaError,
    ServerError,
    ValidationFailedError,
)
from python_ml.schema import training_cuts, validation_results
from python_ml.settings import Settings
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.errors import translate_database_error

if TYPE_CHECKING:
    from great_expectations.core import (
        ExpectationSuite,
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )
    from great_expectations.data_context.data_context.file_data_context import (
        FileDataContext,
    )
    from great_expectations.datasource.fluent.interfaces import Batch
    from great_expectations.expectations.expectation import Expectation

    _Judged = tuple[SuiteSummary, ExpectationSuiteValidationResult | None]

logger = get_logger("python_ml.expectations.gate")

# Each is a file of `suites/` and an asset of great_expectations.yml.
SUITES = ("bars", "feature_rows", "labels", "training_examples")
# Judged for chosen cuts; until the first training there are none.
CUT_SUITE = "training_examples"
DATASOURCE = "warehouse"
CONNECTION_VARIABLE = "SWIFTBOLT_DATABASE_URL"
PAGES_VARIABLE = "SWIFTBOLT_DATA_DOCS"
# Every query reads whole tables. How many rows a cut has is guessed far too
# low, and a nested loop then takes minutes where a hash takes a second.
SESSION_OPTIONS = "-c enable_nestloop=off -c enable_mergejoin=off"
JUDGED_EXAMPLES = "judged_examples"
# As many keys of violations are kept.
N_SAMPLES = 20
ROW_COUNT = "expect_table_row_count_to_be_between"


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

    Returns
    -------
    ValidationSummary

    Raises
    ------
    ValidationFailedError
        If an expectation failed or could not be judged: a suite is missing,
        unknown or loaded in part, a table is missing or empty, the server
        does not answer. The results are written first where they can be.
    """
    summary = judge(
        warehouse,
        cut_ids=cut_ids,
        job_run_id=job_run_id,
        pages_dir=(
            default_pages_dir(warehouse.settings) if cut_ids is None else None
        ),
    )
    summary.raise_on_failure()
    return summary


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
    names = SUITES if cut_ids is None else (CUT_SUITE,)
    started = time.monotonic()
    try:
        cuts = _choose_cuts(warehouse, cut_ids)
        context = _open_context(warehouse, pages_dir)
        try:
            judged = tuple(
                _judge_suite(warehouse, context, name, cuts)
                for name in progress(
                    names, total=len(names), description="validating"
                )
            )
        finally:
            _close_connections(context)
        summary = ValidationSummary(
            validated_at=datetime.datetime.now(datetime.UTC),
            suites=(
                *(suite for suite, _ in judged),
                *_unknown_suites(warehouse),
            ),
            seconds=time.monotonic() - started,
        )
        _write(warehouse, summary, job_run_id)
    except (sa.exc.SQLAlchemyError, ServerError, SchemaError) as error:
        raise ValidationFailedError(
            f"The warehouse could not be validated. {_explain(error)}"
        ) from error
    if pages_dir is not None:
        summary = _write_pages(summary, context, judged, pages_dir)
    log_event(logger, "validated", **summary.counts())
    return summary


def _write_pages(
    summary: ValidationSummary,
    context: "FileDataContext",
    judged: "Sequence[_Judged]",
    folder: Path,
) -> ValidationSummary:
    """Write the pages if it can be done; the verdict stands without them."""
    from expectations.pages import write_pages

    results = {
        suite.suite: result for suite, result in judged if result is not None
    }
    try:
        page = write_pages(summary, context, results, folder)
    except Exception as error:
        log_event(
            logger,
            "pages_not_written",
            level=logging.WARNING,
            folder=folder,
            error=_one_line(error),
        )
        return summary
    return replace(summary, page=page)


def _choose_cuts(
    warehouse: Warehouse, cut_ids: Sequence[int] | None
) -> tuple[int, ...]:
    """Cuts to judge; none only if none was asked for and there is none."""
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
            ranked = sa.select(column, rank.label("rank")).subquery()
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


def _open_context(
    warehouse: Warehouse, pages_dir: Path | None
) -> "FileDataContext":
    """Open the context of the checkout; nothing is written to it."""
    folder = warehouse.settings.expectations_dir
    path = folder / "great_expectations.yml"
    # Without the file Great Expectations would make a project of its own.
    if not path.is_file():
        raise ValidationFailedError(
            f"There is no Great Expectations context at {path}. Restore it "
            "with: git checkout -- expectations"
        )
    import great_expectations as gx

    # A suite silently loads without the classes that are not yet imported.
    import expectations.plugins  # noqa: F401

    url = sa.make_url(warehouse.parameters.url()).set(
        drivername="postgresql+psycopg2"
    )
    url = url.update_query_dict({"options": SESSION_OPTIONS})
    try:
        return gx.get_context(
            mode="file",
            context_root_dir=folder,
            runtime_environment={
                CONNECTION_VARIABLE: url.render_as_string(hide_password=False),
                PAGES_VARIABLE: str(
                    (pages_dir or warehouse.settings.home) / "data_docs"
                ),
            },
        )
    except Exception as error:
        raise ValidationFailedError(
            f"The Great Expectations context at {path} does not open: "
            f"{_one_line(error)}. Restore it with: "
            "git checkout -- expectations"
        ) from error


def _close_connections(context: "FileDataContext") -> None:
    """Leave no connection behind: the server may be about to stop."""
    source: Any = context.data_sources.all().get(DATASOURCE)
    engines = [
        getattr(source, "_engine", None),
        getattr(getattr(source, "_execution_engine", None), "engine", None),
    ]
    for engine in engines:
        if isinstance(engine, sa.Engine):
            engine.dispose()


def _judge_suite(
    warehouse: Warehouse,
    context: "FileDataContext",
    name: str,
    cuts: tuple[int, ...],
) -> "_Judged":
    """Judge one suite; also Great Expectations' own result, for its pages."""
    dataset = name
    n_rows = None
    result = None
    try:
        suite = _load_suite(warehouse, context, name)
        dataset = _name_dataset(warehouse, suite, cuts)
        if name == CUT_SUITE and not cuts:
            _count_rows(warehouse, f"(select * from {dataset} limit 0) as none")
            return _not_applicable(name, dataset), None
        batch = _open_batch(warehouse, context, name, dataset)
        for number, expectation in enumerate(suite.expectations):
            # Results come in no set order; this finds each one's expectation.
            expectation.id = str(uuid.UUID(int=number))
            _set_scope(expectation, warehouse, cuts, dataset)
        outcomes, result = _judge_expectations(batch, suite)
        n_rows = _counted_rows(result)
        if n_rows is None:
            n_rows = _count_rows(warehouse, dataset)
    except _CheckFailed as failure:
        outcomes = [failure.outcome]
    else:
        # A suite need not look for it: nearly all pass on no rows at all.
        if n_rows == 0 and all(outcome.is_success for outcome in outcomes):
            outcomes.append(
                _failed_check(
                    "dataset_is_not_empty",
                    f"{dataset} has no rows. Build it with: swiftbolt run",
                )
            )
    return SuiteSummary(name, dataset, n_rows, tuple(outcomes)), result


class _CheckFailed(Exception):
    """A check of the gate's own failed, so the suite cannot be judged."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = _failed_check(check, reason)


def _failed_check(check: str, reason: str) -> ExpectationOutcome:
    return ExpectationOutcome(check, is_success=False, reason=reason)


def _not_applicable(name: str, dataset: str) -> SuiteSummary:
    outcome = ExpectationOutcome(
        "not_applicable",
        is_success=True,
        severity="info",
        reason="no cut yet: ml.training_cuts is empty until the first training",
    )
    return SuiteSummary(name, dataset, 0, (outcome,), is_applicable=False)


def _unknown_suites(warehouse: Warehouse) -> tuple[SuiteSummary, ...]:
    """Fail for what lies among the suites and nobody would run."""
    folder = warehouse.settings.expectations_dir / "suites"
    if not folder.is_dir():
        return ()
    known = {f"{name}.json" for name in SUITES}
    return tuple(
        SuiteSummary(
            path.stem,
            "none",
            None,
            (
                _failed_check(
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


def _load_suite(
    warehouse: Warehouse, context: "FileDataContext", name: str
) -> "ExpectationSuite":
    """Load a suite and hold it to the file it came from."""
    path = warehouse.settings.expectations_dir / "suites" / f"{name}.json"
    in_file = Counter(_read_expectation_types(path, name))
    try:
        suite = context.suites.get(name)
    except Exception as error:
        raise _CheckFailed(
            "suite_loaded_whole", f"{path} does not load: {_one_line(error)}"
        ) from error
    loaded = Counter(
        expectation.expectation_type for expectation in suite.expectations
    )
    if loaded != in_file:
        missing = ", ".join(sorted((in_file - loaded).elements()))
        raise _CheckFailed(
            "suite_loaded_whole",
            f"{path} holds {in_file.total()} expectations, of which "
            f"{loaded.total()} loaded, without {missing}: import its class in "
            "expectations/plugins/__init__.py or mend its name and arguments",
        )
    return suite


def _read_expectation_types(path: Path, name: str) -> list[str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        types = [str(entry["type"]) for entry in content["expectations"]]
        found = content["name"]
    except FileNotFoundError as error:
        raise _CheckFailed(
            "suite_is_there",
            f"there is no {path}; restore it with: "
            "git checkout -- expectations",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _CheckFailed(
            "suite_loaded_whole", f"{path} is damaged: {_one_line(error)}"
        ) from error
    if found != name or not types:
        raise _CheckFailed(
            "suite_loaded_whole",
            f"{path} should be suite {name!r} with expectations, but is "
            f"{found!r} with {len(types)}",
        )
    return types


def _name_dataset(
    warehouse: Warehouse, suite: "ExpectationSuite", cuts: tuple[int, ...]
) -> str:
    """Table and condition of the rows that a suite judges, as SQL."""
    from expectations.plugins.keyed_rows import with_schema_prefix

    dataset = with_schema_prefix(
        str(suite.meta.get("dataset", suite.name)),
        warehouse.settings.schema_prefix,
    )
    if suite.name == CUT_SUITE and cuts:
        dataset += f" where cut_id in ({', '.join(map(str, cuts))})"
    return dataset


def _open_batch(
    warehouse: Warehouse, context: "FileDataContext", name: str, dataset: str
) -> "Batch":
    """Open the rows that a suite judges."""
    from great_expectations.datasource.fluent.sql_datasource import QueryAsset

    from expectations.plugins.feature_rows import read_features, sum_of
    from expectations.plugins.keyed_rows import (
        COUNTS,
        fill,
        with_schema_prefix,
    )
    from expectations.plugins.training_examples import COUNT

    try:
        asset = context.data_sources.get(DATASOURCE).get_asset(name)
        if not isinstance(asset, QueryAsset):
            raise TypeError(f"asset {name} is of type {asset.type}, not query")
    except Exception as error:
        raise _CheckFailed(
            "dataset_is_known",
            f"great_expectations.yml has no query {name} in {DATASOURCE} "
            f"({_one_line(error)}); restore it with: "
            "git checkout -- expectations",
        ) from error
    prefix = warehouse.settings.schema_prefix
    engine: Any = asset.datasource.get_execution_engine()
    try:
        query = with_schema_prefix(asset.query, prefix)
        if "{sum_of_features}" in query:
            features, columns = read_features(engine, dataset, prefix)
            known = [feature for feature in features if feature in columns]
            query = fill(query, {"sum_of_features": sum_of(known)})
        if name == CUT_SUITE:
            query = fill(query, {"dataset": f"(select * from {dataset})"})
            # The engine's pool hands out the one connection it has, so that
            # all of its queries see the table.
            count = fill(COUNT, {"examples": JUDGED_EXAMPLES})
            for statement in (
                f"create temporary table {JUDGED_EXAMPLES} as {query}",
                f"create temporary table {COUNTS} as {count}",
            ):
                engine.execute_query_in_transaction(sa.text(statement))
            query = f"select * from {JUDGED_EXAMPLES}"
        # In memory only: the file keeps what it says.
        asset.query = query
        return asset.get_batch(asset.build_batch_request())
    except Exception as error:
        raise _CheckFailed("dataset_can_be_read", _explain(error)) from error


def _count_rows(warehouse: Warehouse, dataset: str) -> int:
    try:
        with warehouse.begin() as connection:
            return int(
                connection.exec_driver_sql(
                    f"select count(*) from {dataset}"
                ).scalar_one()
            )
    except (sa.exc.DBAPIError, ServerError) as error:
        raise _CheckFailed("dataset_can_be_read", _explain(error)) from error


def _set_scope(
    expectation: "Expectation",
    warehouse: Warehouse,
    cuts: tuple[int, ...],
    dataset: str,
) -> None:
    from expectations.plugins.keyed_rows import KeyedRowsExpectation

    if isinstance(expectation, KeyedRowsExpectation):
        expectation.schema_prefix = warehouse.settings.schema_prefix
        expectation.cut_ids = list(cuts)
        expectation.dataset = dataset


def _judge_expectations(
    batch: "Batch", suite: "ExpectationSuite"
) -> "tuple[list[ExpectationOutcome], ExpectationSuiteValidationResult]":
    """Count violations of all at once, then ask for the keys of what failed.

    In the first step an expectation that raises takes those with it that are
    counted in the same scan, so only success counts there.
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
            outcome, result = _judge_expectation(
                batch, expectation, suite.meta.get("keys", []), result
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


def _passed(expectation: "Expectation") -> ExpectationOutcome:
    from expectations.plugins.keyed_rows import SCOPE

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


def _judge_expectation(
    batch: "Batch",
    expectation: "Expectation",
    keys: Sequence[str],
    counted: "ExpectationValidationResult | None",
) -> "tuple[ExpectationOutcome, ExpectationValidationResult | None]":
    """Judge one by itself, with the keys of violations."""
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
    except Exception as error:
        # What cannot be judged is no mere warning.
        failed = replace(
            outcome,
            is_success=False,
            severity="critical",
            reason=f"could not be judged: {_explain(error)}",
        )
        return failed, counted
    if verdict.success is True:
        return outcome, verdict
    n_unexpected = verdict.result.get("unexpected_count")
    failed = replace(
        outcome,
        is_success=False,
        n_unexpected=n_unexpected,
        samples=_samples(verdict.result),
        reason=(
            f"found {verdict.result.get('observed_value')}"
            if n_unexpected is None
            else None
        ),
    )
    return failed, verdict


def _counted_rows(
    result: "ExpectationSuiteValidationResult",
) -> int | None:
    """Rows of the batch, if an expectation of the suite counted them."""
    for one in result.results:
        configuration = one.expectation_config
        if configuration is not None and configuration.type == ROW_COUNT:
            n_rows = one.result.get("observed_value")
            return n_rows if isinstance(n_rows, int) else None
    return None


def _verdict(
    batch: "Batch", expectation: "Expectation", result_format: Any
) -> "ExpectationValidationResult":
    """Validate, raising what Great Expectations only notes down."""
    verdict = batch.validate(expectation, result_format=result_format)
    message = _exception_message(verdict.exception_info)
    if message is not None:
        raise ValidationFailedError(message)
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
    return _one_line(exception_info.get("exception_message") or "no message")


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


def _explain(error: Exception) -> str:
    translated = translate_database_error(error)
    return _one_line(translated or error)


def _one_line(message: object) -> str:
    """First 300 characters, on one line."""
    return " ".join(str(message).split())[:300]
