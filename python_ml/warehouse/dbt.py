"""dbt in this process: quiet, on our database, and gone without a trace."""

import argparse
import contextlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.console.progress import progress_bar
from python_ml.exceptions import BuildError
from python_ml.settings import Settings
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt_manifest import kept_manifest, parsing_digest
from python_ml.warehouse.dbt_process import (
    callers_found_at_once,
    connections_kept,
    debug_events_dropped,
    loggers_kept,
    macros_looked_up_at_once,
    manifest_passed_over,
    nothing_collected,
    parsing_in_turn,
    templates_compiled_once,
)
from python_ml.warehouse.dbt_unchanged import UnchangedRelations, left_out
from python_ml.warehouse.parameters import ConnectionParameters
from python_ml.warehouse.roles import grant_on_built

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest

logger = get_logger(__name__)

FAILED_STATUSES = ("error", "fail", "runtime error", "partial success")
# An analysis reads them when it is compiled; what is parsed does not differ.
RUNTIME_VARIABLES = ("example",)
# Nothing to do is a mistake in the selection, not a success.
RUNNING_COMMANDS = ("build", "run", "seed", "test")
MAX_NODES_NAMED = 5
# What dbt says where `on_schema_change: fail` stops a node, and PostgreSQL of a
# seed.
COLUMNS_DIFFER = re.compile(
    "schemas on this incremental model are out of sync"
    r'|column "\w+" of relation "\w+" does not exist'
)
MAX_MESSAGE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class DbtSummary:
    """What a dbt command did.

    Parameters
    ----------
    command : str
        `build`, `compile` ...
    n_nodes : int
        Number of nodes that ran: seeds, dbt models, tests.
    counts : dict of str to int
        Number of nodes by status: success, pass, warn, skipped.
    duration_seconds : float
    output : object
        What dbt's own runner returned: run results, a list of names, ...
    n_unchanged : int
        Number of seeds and dbt models that were left out, since they stand as
        they would be built.
    """

    command: str
    n_nodes: int
    counts: dict[str, int]
    duration_seconds: float
    output: Any = field(repr=False, compare=False)
    n_unchanged: int = 0


def dbt_environment(
    settings: Settings, parameters: ConnectionParameters
) -> dict[str, str]:
    """Environment in which a plain `dbt build` reaches this warehouse."""
    return {
        **parameters.environment(),
        "SWIFTBOLT_TARGET": settings.target,
        "SWIFTBOLT_HOME": str(settings.home),
        "SWIFTBOLT_SCHEMA_PREFIX": settings.schema_prefix,
        "DBT_PROFILES_DIR": str(settings.project_root),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
    }


def run_dbt(warehouse: Warehouse, arguments: Sequence[str]) -> DbtSummary:
    """Run one dbt command on the warehouse.

    Parameters
    ----------
    warehouse : Warehouse
    arguments : sequence of str
        As on dbt's command line: `["build", "--select", "features"]`.

    Raises
    ------
    BuildError
        If anything failed; the message names the first nodes that did.
    """
    settings = warehouse.settings
    parameters = warehouse.parameters
    command = arguments[0]
    log = f"(log: {settings.logs_dir / 'dbt.log'})"
    log_event(logger, "dbt_started", command=" ".join(arguments))
    started = time.monotonic()
    with (
        _environment(dbt_environment(settings, parameters)),
        parsing_in_turn(),
        progress_bar(total=None, description=f"dbt {command}") as bar,
    ):

        def show(event: Any) -> None:
            index = getattr(event.data, "index", None)
            total = getattr(event.data, "total", None)
            if index and total and index > bar.n:
                bar.total = total
                bar.update(index - bar.n)

        def parse() -> "Manifest":
            parsed = _invoke(settings, ["parse", "--vars", variables])
            _raise_exception(parsed, command, log)
            return cast("Manifest", parsed.result)

        variables = _variables(arguments)
        manifest = kept_manifest(settings, parameters, variables, parse)
        unchanged = UnchangedRelations(
            warehouse, manifest, parsing_digest(settings, parameters, variables)
        )
        with left_out(unchanged):
            result = _invoke(settings, arguments, manifest, [show])
    duration = time.monotonic() - started
    _raise_exception(result, command, log)
    if command in RUNNING_COMMANDS:
        grant_on_built(warehouse)
    results = getattr(result.result, "results", None) or []
    n_unchanged = len(unchanged.left_out)
    if command in RUNNING_COMMANDS and not results and not n_unchanged:
        raise BuildError(
            f"dbt {' '.join(arguments)} ran nothing: no node fits the "
            f"selection {log}"
        )
    failures = [node for node in results if str(node.status) in FAILED_STATUSES]
    if failures or not result.success:
        raise BuildError(
            f"dbt {command} failed: {len(failures)} of {len(results)} nodes: "
            f"{_describe_failures(failures)} {log}"
        )
    unchanged.record(node.node.unique_id for node in results)
    counts = dict(Counter(str(node.status) for node in results))
    log_event(
        logger,
        "dbt_finished",
        command=command,
        nodes=len(results),
        unchanged=n_unchanged,
        seconds=round(duration, 1),
        **counts,
    )
    return DbtSummary(
        command, len(results), counts, duration, result.result, n_unchanged
    )


def _invoke(
    settings: Settings,
    arguments: Sequence[str],
    manifest: "Manifest | None" = None,
    callbacks: Sequence[Callable[[Any], None]] = (),
) -> "dbtRunnerResult":
    """Hand a command line to dbt, whose environment is set."""
    with nothing_collected():
        from dbt.cli.main import dbtRunner
        from dbt_common.events.event_manager_client import cleanup_event_logger

    command, *options = arguments
    full_arguments = [
        # Global options stand before the command.
        "--log-level=none",
        "--log-level-file=info",
        f"--log-path={settings.logs_dir}",
        "--no-use-colors-file",
        "--no-send-anonymous-usage-stats",
        "--no-version-check",
        command,
        # What the caller says comes later and wins.
        "--no-write-json",
        *options,
        f"--project-dir={settings.dbt_project_dir}",
        f"--profiles-dir={settings.project_root}",
        f"--target={settings.target}",
        f"--target-path={settings.home / 'dbt_target'}",
    ]
    runner = dbtRunner(manifest=manifest, callbacks=list(callbacks))
    with (
        loggers_kept(),
        debug_events_dropped(),
        connections_kept(),
        templates_compiled_once(),
        macros_looked_up_at_once(),
        callers_found_at_once(),
        manifest_passed_over(),
    ):
        try:
            return runner.invoke(full_arguments)
        finally:
            cleanup_event_logger()


def _variables(arguments: Sequence[str]) -> str:
    """Value of the option `--vars`, as far as parsing reads it.

    Examples
    --------
    >>> _variables(["run", "--vars", "as_of: 2012-06-29", "--full-refresh"])
    'as_of: 2012-06-29'
    >>> _variables(["compile", "--vars", "example: {bar_number: 5600}"])
    '{}'
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--vars", nargs="?", default="{}")
    text = str(parser.parse_known_args(arguments)[0].vars)
    if not any(name in text for name in RUNTIME_VARIABLES):
        return text
    from dbt.config.utils import parse_cli_vars

    read = {
        name: value
        for name, value in parse_cli_vars(text).items()
        if name not in RUNTIME_VARIABLES
    }
    return json.dumps(read, default=str)


def _raise_exception(result: "dbtRunnerResult", command: str, log: str) -> None:
    """Raise what kept dbt from running at all."""
    if isinstance(result.exception, KeyboardInterrupt | SystemExit):
        raise result.exception
    if result.exception is not None:
        raise BuildError(
            f"dbt {command} failed: {_one_line(str(result.exception))} {log}"
        ) from result.exception


def _describe_failures(failures: Sequence[Any]) -> str:
    parts = [
        f"{failure.node.resource_type} {failure.node.name}: "
        f"{_told(failure.message or 'no message')}"
        for failure in failures[:MAX_NODES_NAMED]
    ]
    if len(failures) > MAX_NODES_NAMED:
        parts.append(f"and {len(failures) - MAX_NODES_NAMED} more")
    return "; ".join(parts)


def _told(message: str) -> str:
    """What dbt says of a node, in a line that names what to do."""
    if COLUMNS_DIFFER.search(message):
        return (
            "its table has the columns of another version of the project. "
            "Build everything anew: swiftbolt build --full-refresh"
        )
    return _one_line(_without_heading(message))


def _without_heading(message: str) -> str:
    r"""Leave out the lines of dbt's message that only name the node.

    Examples
    --------
    >>> _without_heading(
    ...     "Database Error in model bars (models/bars.sql)\n"
    ...     "  division by zero\n  compiled code at target/bars.sql"
    ... )
    '  division by zero'
    """
    return "\n".join(
        line
        for line in message.splitlines()
        if not line.strip().startswith("compiled code at")
        and not re.fullmatch(r"\w+ Error in .* \(.*\)", line.strip())
    )


def _one_line(message: str) -> str:
    line = " ".join(message.split())
    if len(line) > MAX_MESSAGE_CHARACTERS:
        line = line[:MAX_MESSAGE_CHARACTERS].rstrip() + " ..."
    return line


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
