"""The Great Expectations context of the checkout, and the suites in it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import great_expectations as gx
import sqlalchemy as sa
from great_expectations.core import ExpectationSuite
from great_expectations.data_context.data_context.file_data_context import (
    FileDataContext,
)

# A suite silently loads without the classes that are not yet imported.
import expectations.plugins  # noqa: F401
from expectations.checks import CheckFailed, ContextError, one_line

DATASOURCE = "warehouse"
CONNECTION_VARIABLE = "SWIFTBOLT_DATABASE_URL"
PAGES_VARIABLE = "SWIFTBOLT_DATA_DOCS"
# Every query reads whole tables. How many rows a cut has is guessed far too
# low, and a nested loop then takes minutes where a hash takes a second.
SESSION_OPTIONS = "-c enable_nestloop=off -c enable_mergejoin=off"


def open_context(
    database_url: str, *, context_dir: Path, pages_dir: Path
) -> FileDataContext:
    """Open the context in `context_dir`; nothing is written to it.

    Parameters
    ----------
    database_url : str
        Of the warehouse, as libpq takes it.
    context_dir : Path
        Folder of `great_expectations.yml`.
    pages_dir : Path
        Folder in which `data_docs` is made if pages are written.

    Raises
    ------
    ContextError
        If the context is missing or does not open.
    """
    path = context_dir / "great_expectations.yml"
    # Without the file Great Expectations would make a project of its own.
    if not path.is_file():
        raise ContextError(
            f"There is no Great Expectations context at {path}. Restore it "
            "with: git checkout -- expectations"
        )
    url = sa.make_url(database_url).set(drivername="postgresql+psycopg2")
    url = url.update_query_dict({"options": SESSION_OPTIONS})
    try:
        return gx.get_context(
            mode="file",
            context_root_dir=context_dir,
            runtime_environment={
                CONNECTION_VARIABLE: url.render_as_string(hide_password=False),
                PAGES_VARIABLE: str(pages_dir / "data_docs"),
            },
        )
    except Exception as error:
        raise ContextError(
            f"The Great Expectations context at {path} does not open: "
            f"{one_line(error)}. Restore it with: "
            "git checkout -- expectations"
        ) from error


def close_connections(context: FileDataContext) -> None:
    """Leave no connection behind: the server may be about to stop."""
    source: Any = context.data_sources.all().get(DATASOURCE)
    engines = [
        getattr(source, "_engine", None),
        getattr(getattr(source, "_execution_engine", None), "engine", None),
    ]
    for engine in engines:
        if isinstance(engine, sa.Engine):
            engine.dispose()


def load_suite(
    context: FileDataContext, name: str, *, context_dir: Path
) -> ExpectationSuite:
    """Load a suite and check that it holds all that its file holds.

    Raises
    ------
    CheckFailed
        If the file is missing or damaged, or the suite loaded in part.
    """
    path = context_dir / "suites" / f"{name}.json"
    in_file = Counter(_read_expectation_types(path, name))
    try:
        suite = context.suites.get(name)
    except Exception as error:
        raise CheckFailed(
            "suite_loaded_whole", f"{path} does not load: {one_line(error)}"
        ) from error
    loaded = Counter(
        expectation.expectation_type for expectation in suite.expectations
    )
    if loaded != in_file:
        missing = ", ".join(sorted((in_file - loaded).elements()))
        raise CheckFailed(
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
        raise CheckFailed(
            "suite_is_there",
            f"there is no {path}; restore it with: "
            "git checkout -- expectations",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckFailed(
            "suite_loaded_whole", f"{path} is damaged: {one_line(error)}"
        ) from error
    if found != name or not types:
        raise CheckFailed(
            "suite_loaded_whole",
            f"{path} should be suite {name!r} with expectations, but is "
            f"{found!r} with {len(types)}",
        )
    return types
