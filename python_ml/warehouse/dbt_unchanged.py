"""What stands in the warehouse as dbt built it before is not built again.

A view that is made again costs processor time and takes with it every view that
stands on it, while others read them. After a run the warehouse keeps, for each
view and each table that comes of the project's files alone (seeds, and dbt
models without parents), a digest of what it was built from and one of how it
stands. A later run leaves out what would be built from the same and stands like
that. Whatever is in doubt is built: where a definition, a comment, a right or a
row was changed by hand, a view that stands on one that is made again, and
everything of `--full-refresh`.
"""

import contextlib
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from python_ml.exceptions import BuildError
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt_standing import (
    TABLE,
    Built,
    Relation,
    Standing,
    read_record,
    read_standing,
    write_record,
)

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

# What is rendered differently from run to run: by what the database holds, by
# flags, by the clock. Dispatch looks at the kind of the adapter only.
ASKS_WHILE_IT_RUNS = re.compile(
    r"run_query|\badapter\.(?!dispatch\b)|load_relation|load_cached_relation"
    r"|\bstatement\b|\bexecute\b|\bgraph\b|\bmodules\.|\binvocation_|\bflags\."
    r"|\brun_started_at\b|is_incremental|env_var|dbt_metadata"
)
# Of a node that names no schema, as the profile has it.
DEFAULT_SCHEMA = "features"
RECORD_SCHEMA = "intermediate"
BUILDING_COMMANDS = ("build", "run", "seed")
# What is built with them is not what the project says.
CHANGING_FLAGS = ("EMPTY", "SAMPLE", "DEFER", "FAVOR_STATE")
# Hooks that leave what was built as it is.
HARMLESS_HOOKS = {"analyze {{ this }}"}


class UnchangedRelations:
    """Relations of one run of dbt that need not be built.

    Parameters
    ----------
    warehouse : Warehouse
    manifest : Manifest
        The parsed project, before dbt runs.
    parsed_from : str
        Digest of all that was parsed (`parsing_digest`).
    """

    def __init__(
        self, warehouse: Warehouse, manifest: "Manifest", parsed_from: str
    ) -> None:
        self._warehouse = warehouse
        self._nodes: dict[str, Any] = dict(manifest.nodes)
        relations = [
            node
            for node in self._nodes.values()
            if node.resource_type in ("model", "seed")
        ]
        self._schemas = {node.schema for node in relations}
        self._record_schema = record_schema(relations)
        self._built_from = sources_of_relations(manifest, parsed_from)
        self._is_recorded = True
        self.left_out: set[str] = set()

    def leave_out(self, selected: Collection[str], flags: Any) -> set[str]:
        """Choose the selected nodes that stand as they would be built.

        Parameters
        ----------
        selected : collection of str
            Unique ids.
        flags : Flags
            Of dbt's command.
        """
        self.left_out = set()
        candidates = self._built_from.keys() & set(selected)
        if flags.WHICH not in BUILDING_COMMANDS or not candidates:
            return set()
        if any(getattr(flags, name, None) for name in CHANGING_FLAGS):
            self._is_recorded = False
            return set()
        if not flags.FULL_REFRESH and (
            recorded := read_record(self._warehouse, self._record_schema)
        ):
            self.left_out = unchanged_nodes(
                selected,
                self._nodes,
                self._built_from,
                recorded,
                self._read_standing(candidates),
            )
        return self.left_out

    def record(self, built: Iterable[str]) -> None:
        """Write down what has been built, and that the rest still stands.

        Parameters
        ----------
        built : iterable of str
            Unique ids of nodes that dbt has built, candidates or not.

        Raises
        ------
        BuildError
            If what was left out has gone meanwhile.
        """
        new = self._built_from.keys() & set(built)
        if not self._is_recorded or not new | self.left_out:
            return
        found = self._read_standing(new)
        gone = sorted(
            node
            for node in self.left_out
            if relation_of(self._nodes[node]) not in found
        )
        if gone:
            raise BuildError(
                f"{len(gone)} relations that stood when the build began were "
                f"dropped while it ran (first: {self._nodes[gone[0]].name}). "
                "Build them again with: swiftbolt build"
            )
        write_record(
            self._warehouse,
            self._record_schema,
            [
                (
                    relation,
                    Built(self._built_from[node], found[relation].digest),
                )
                for node in sorted(new)
                if (relation := relation_of(self._nodes[node])) in found
            ],
        )

    def _read_standing(
        self, candidates: Collection[str]
    ) -> dict[Relation, Standing]:
        """How relations stand, tables among the candidates with their rows."""
        return read_standing(
            self._warehouse,
            self._schemas,
            [relation_of(self._nodes[node]) for node in candidates],
        )


def record_schema(relations: Iterable[Any]) -> str:
    """Schema of the record: `intermediate`, with the prefix of all schemas.

    Examples
    --------
    >>> from types import SimpleNamespace as Node
    >>> staging = Node(schema="staging")
    >>> record_schema([Node(schema="asof_20120629_staging", config=staging)])
    'asof_20120629_intermediate'
    """
    prefixes = {
        node.schema.removesuffix(node.config.schema or DEFAULT_SCHEMA)
        for node in relations
    }
    return min(prefixes, default="") + RECORD_SCHEMA


def relation_of(node: Any) -> Relation:
    """Schema and name of what a node is built to."""
    return node.schema, node.alias


def sources_of_relations(
    manifest: "Manifest", parsed_from: str
) -> dict[str, str]:
    """Digest of what each relation is built from that depends on nothing else.

    Parameters
    ----------
    manifest : Manifest
    parsed_from : str
        Digest of all that was parsed: any change of the project, of variables
        or of dbt builds everything once.

    Returns
    -------
    dict of str to str
        By unique id. Only nodes whose SQL is the same in every run: views, and
        tables that read no others. Code is part of the digest, in case that the
        manifest was changed after it was parsed.
    """
    sources = {}
    for unique_id, node in manifest.nodes.items():
        if not _depends_on_the_project_alone(node):
            continue
        texts = [node.raw_code, *_macros_of(node, manifest.macros)]
        if any(map(ASKS_WHILE_IT_RUNS.search, texts)):
            continue
        content = repr([parsed_from, node.checksum.checksum, *texts])
        sources[unique_id] = hashlib.sha256(content.encode()).hexdigest()
    return sources


def unchanged_nodes(
    selected: Collection[str],
    nodes: Mapping[str, Any],
    built_from: Mapping[str, str],
    recorded: Mapping[Relation, Built],
    found: Mapping[Relation, Standing],
) -> set[str]:
    """Choose the selected nodes that stand as they would be built.

    Parameters
    ----------
    selected : collection of str
        Unique ids.
    nodes : mapping of str to node
        Of the whole project.
    built_from : mapping of str to str
        As `sources_of_relations` returns it.
    recorded, found : mapping of (schema, name) to Built or Standing

    Returns
    -------
    set of str
        Nodes below which nothing is replaced in this run: a view that is made
        again, or a table that dbt drops, would take them with it.
    """
    unchanged: dict[str, bool] = {}

    def stands(unique_id: str) -> bool:
        relation = relation_of(nodes[unique_id])
        built, standing = recorded.get(relation), found.get(relation)
        return (
            built is not None
            and standing is not None
            and built == Built(built_from[unique_id], standing.digest)
        )

    def keeps_its_place(unique_id: str) -> bool:
        """Whether it is the same relation after the run as before."""
        node = nodes.get(unique_id)
        if node is None or unique_id not in selected:
            return True
        if unique_id in built_from and is_unchanged(unique_id):
            return True
        standing = found.get(relation_of(node))
        return (
            node.config.materialized in ("incremental", "seed")
            and standing is not None
            and standing.kind == TABLE
        )

    def is_unchanged(unique_id: str) -> bool:
        if unique_id not in unchanged:
            unchanged[unique_id] = stands(unique_id) and all(
                map(keeps_its_place, nodes[unique_id].depends_on.nodes)
                if nodes[unique_id].resource_type == "model"
                else ()
            )
        return unchanged[unique_id]

    return {node for node in built_from.keys() & selected if is_unchanged(node)}


def _depends_on_the_project_alone(node: Any) -> bool:
    if node.resource_type not in ("model", "seed"):
        return False
    hooks = [*node.config.pre_hook, *node.config.post_hook]
    if any(hook.sql not in HARMLESS_HOOKS for hook in hooks):
        return False
    if node.resource_type == "seed":
        return True
    return node.config.materialized == "view" or (
        node.config.materialized == "table" and not node.depends_on.nodes
    )


def _macros_of(node: Any, macros: Mapping[str, Any]) -> list[str]:
    """Code of all macros that a node calls, and that these call."""
    found: dict[str, str] = {}
    waiting = list(node.depends_on.macros)
    while waiting:
        unique_id = waiting.pop()
        if unique_id not in found and unique_id in macros:
            found[unique_id] = macros[unique_id].macro_sql
            waiting += macros[unique_id].depends_on.macros
    return [found[unique_id] for unique_id in sorted(found)]


@contextlib.contextmanager
def left_out(unchanged: UnchangedRelations) -> Iterator[None]:
    """Leave what is unchanged out of what dbt 1.11 selects.

    Options would not do: excluding a view excludes its tests with it.
    """
    from dbt import flags
    from dbt.graph.selector import NodeSelector

    select: Any = NodeSelector.get_selected
    get_flags: Any = flags.get_flags

    def select_changed(self: Any, *arguments: Any, **keywords: Any) -> set[str]:
        selected: set[str] = set(select(self, *arguments, **keywords))
        return selected - unchanged.leave_out(selected, get_flags())

    setattr(NodeSelector, "get_selected", select_changed)  # noqa: B010
    try:
        yield
    finally:
        setattr(NodeSelector, "get_selected", select)  # noqa: B010
