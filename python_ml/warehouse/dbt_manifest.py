"""What dbt has parsed of the project, kept for the calls that follow.

Parsing takes longer than most commands. dbt keeps what it parsed as well, but
one state only, and gives it up when variables, port or database differ.
"""

import contextlib
import dataclasses
import hashlib
import os
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from python_ml.settings import Settings
from python_ml.warehouse.dbt_process import nothing_collected
from python_ml.warehouse.parameters import ConnectionParameters

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

# Their classes and macros are in what is kept.
PARSERS = ("dbt-core", "dbt-common", "dbt-adapters", "dbt-postgres")
WRITTEN_BY_DBT = {"target", "logs", ".user.yml"}
ENVIRONMENT_VARIABLE = re.compile(rb"env_var\(\s*['\"](\w+)['\"]")
# Every as-of time has variables of its own.
N_KEPT = 8


def kept_manifest(
    settings: Settings,
    parameters: ConnectionParameters,
    variables: str,
    parse: Callable[[], "Manifest"],
) -> "Manifest":
    """Return the parsed project, from an earlier call where nothing changed.

    What is returned belongs to the caller: dbt writes into it while it runs.

    Parameters
    ----------
    settings : Settings
    parameters : ConnectionParameters
        Names of relations are made to stand in this database.
    variables : str
        As in dbt's option `--vars`.
    parse : callable
        Parses the project, with the environment as it is now.
    """
    folder = kept_dir(settings)
    name = parsing_digest(settings, parameters, variables)
    path = folder / f"{name}.pickle"
    # Whatever is wrong with a kept file, parsing anew mends it.
    with contextlib.suppress(Exception):
        with nothing_collected():
            database, parts = pickle.loads(path.read_bytes())
        path.touch()
        manifest = manifest_of_parts(parts)
        move_to_database(manifest, database, parameters.database)
        return manifest
    manifest = parse()
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    parts = parts_of_manifest(manifest)
    unfinished.write_bytes(pickle.dumps((parameters.database, parts)))
    unfinished.replace(path)
    _remove_all_but_the_newest(folder)
    return manifest


def kept_dir(settings: Settings) -> Path:
    """Folder of parsed projects."""
    return settings.home / "dbt_target" / "parsed"


def parsing_digest(
    settings: Settings, parameters: ConnectionParameters, variables: str
) -> str:
    """Digest of everything that parsing reads, but for the connection.

    That is: files of the dbt project, the profile, the target, variables, those
    of the environment that are asked for, and the versions of the parsers.
    """
    project = settings.dbt_project_dir
    files = [settings.project_root / "profiles.yml", *_files_of(project)]
    digest = hashlib.sha256()
    asked: set[str] = set()
    for file in files:
        content = file.read_bytes()
        asked.update(
            name.decode() for name in ENVIRONMENT_VARIABLE.findall(content)
        )
        digest.update(hashlib.sha256(content).digest())
    environment = {
        name: os.environ.get(name)
        for name in sorted(asked - set(parameters.environment()))
    }
    versions = [sys.version, *(version(package) for package in PARSERS)]
    names = [str(file) for file in files]
    digest.update(
        repr(
            (versions, names, settings.target, variables, environment)
        ).encode()
    )
    return digest.hexdigest()


def parts_of_manifest(manifest: "Manifest") -> dict[str, Any]:
    """Take what was parsed out of a manifest, to be pickled.

    A manifest's own way to be pickled (`__reduce_ex__`, dbt 1.11) forgets one
    field and puts those behind it into each other's place.
    """
    return {
        part.name: getattr(manifest, part.name)
        for part in dataclasses.fields(manifest)
        if not part.name.startswith("_")
    }


def manifest_of_parts(parts: dict[str, Any]) -> "Manifest":
    """Make a manifest of its parts; its indexes are made when asked for."""
    from dbt.contracts.graph.manifest import Manifest

    return Manifest(**parts)


def move_to_database(manifest: "Manifest", before: str, database: str) -> None:
    """Let every relation of a parsed project stand in another database."""
    if database == before:
        return
    flat = manifest.flat_graph  # the same once more, for Jinja's `graph`
    for nodes in (
        manifest.nodes,
        manifest.sources,
        manifest.unit_tests,
        flat["nodes"],
        flat["sources"],
    ):
        for node in nodes.values():
            values = node if isinstance(node, dict) else vars(node)
            if values.get("database") == before:
                values["database"] = database
            if relation := values.get("relation_name"):
                values["relation_name"] = re.sub(
                    rf'^"{re.escape(before)}"(?=\.)',
                    lambda _: f'"{database}"',
                    relation,
                )


def _files_of(project: Path) -> Iterator[Path]:
    for path in sorted(project.rglob("*")):
        first = path.relative_to(project).parts[0]
        if (
            first not in WRITTEN_BY_DBT
            and path.suffix != ".pyc"
            and path.is_file()
        ):
            yield path


def _remove_all_but_the_newest(folder: Path) -> None:
    def last_used(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except FileNotFoundError:  # another process was quicker
            return 0

    kept = sorted(folder.glob("*.pickle"), key=last_used, reverse=True)
    for path in kept[N_KEPT:]:
        path.unlink(missing_ok=True)
