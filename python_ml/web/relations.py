"""Which relations of the warehouse there are to be read.

The one place that asks: a section whose relations are not there, because the
warehouse is empty or older than the page, says so and names the command.
"""

from python_ml.warehouse.connection import SCHEMAS
from python_ml.warehouse.snapshot import SnapshotReader

Relations = frozenset[tuple[str, str]]

RELATIONS_QUERY = """
    select
        namespaces.nspname as schema_name,
        relations.relname as relation_name
    from pg_catalog.pg_class as relations
    inner join pg_catalog.pg_namespace as namespaces
        on relations.relnamespace = namespaces.oid
    where
        namespaces.nspname = any(:schemas)
        and relations.relkind in ('r', 'v', 'm', 'p')
        and has_schema_privilege(namespaces.oid, 'usage')
        and has_table_privilege(relations.oid, 'select')
"""


def readable_relations(snapshot: SnapshotReader) -> Relations:
    """Schema (without prefix) and name of each that the login may read."""
    full_names = {
        snapshot.warehouse.settings.schema(name): name for name in SCHEMAS
    }
    found = snapshot.read(RELATIONS_QUERY, {"schemas": list(full_names)})
    return frozenset(
        (full_names[schema], name)
        for schema, name in zip(
            found["schema_name"], found["relation_name"], strict=True
        )
    )
