"""How relations stand in the warehouse, and what is on record of them.

What stands is told by PostgreSQL itself: definition, columns, comments, rights
and rows. The record is a table in the schema of the steps between views: one
for the live relations, one for each build of the past.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from python_ml.warehouse.connection import Warehouse

Relation = tuple[str, str]
"""Schema and name."""

VIEW, TABLE = "v", "r"  # as `pg_class` calls them

# How relations stand: kind, and definition, columns, comments and rights.
STANDING_QUERY = """
    select
        namespace.nspname as schema,
        relation.relname as name,
        cast(relation.relkind as text) as kind,
        md5(concat_ws(
            '|',
            case relation.relkind
                when 'v' then pg_get_viewdef(relation.oid)
            end,
            relation.relowner,
            relation.relacl,
            relation.reloptions,
            (
                select
                    string_agg(
                        concat_ws(
                            '|',
                            attname,
                            format_type(atttypid, atttypmod),
                            attnotnull,
                            attacl
                        ),
                        '|' order by attnum
                    )
                from pg_attribute
                where attrelid = relation.oid and attnum > 0
            ),
            (
                select
                    string_agg(
                        concat_ws('|', objsubid, description),
                        '|' order by objsubid
                    )
                from pg_description
                where
                    objoid = relation.oid
                    and classoid = cast('pg_class' as regclass)
            )
        )) as digest

    from pg_class as relation

    inner join pg_namespace as namespace
        on relation.relnamespace = namespace.oid

    where
        namespace.nspname = any(:schemas)
        and relation.relkind in ('v', 'r')
"""

RECORD_TABLE = "relations_built"
CREATE_RECORD = """
    create schema if not exists {schema};
    create table if not exists {table} (
        relation_schema text not null,
        relation_name text not null,
        built_from text not null,
        standing text not null,
        primary key (relation_schema, relation_name)
    );
    comment on table {table} is
        'Digests of what dbt built a relation from and how it stood then, '
        'by which a later build leaves it out.';
"""
READ_RECORD = """
    select relation_schema, relation_name, built_from, standing
    from {table}
"""
WRITE_RECORD = """
    insert into {table}
    values (:schema, :name, :built_from, :standing)
    on conflict (relation_schema, relation_name) do update
    set built_from = excluded.built_from, standing = excluded.standing
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a relation stands.

    Parameters
    ----------
    kind : str
        `VIEW` or `TABLE`.
    digest : str
        Of its definition, columns, comments and rights, and of the rows of a
        table that was asked for them.
    """

    kind: str
    digest: str


@dataclass(frozen=True, slots=True)
class Built:
    """What is on record of a relation.

    Parameters
    ----------
    built_from : str
        As `sources_of_relations` makes it.
    standing : str
        Digest of how it stood when it was built.
    """

    built_from: str
    standing: str


def read_record(warehouse: Warehouse, schema: str) -> dict[Relation, Built]:
    """What is on record of each relation; nothing before the first build."""
    table = f'"{schema}".{RECORD_TABLE}'
    with warehouse.begin() as connection:
        is_there = sa.select(sa.func.to_regclass(table).is_not(None))
        if not connection.execute(is_there).scalar_one():
            return {}
        rows = connection.exec_driver_sql(READ_RECORD.format(table=table))
        return {
            (row.relation_schema, row.relation_name): Built(
                row.built_from, row.standing
            )
            for row in rows
        }


def write_record(
    warehouse: Warehouse,
    schema: str,
    built: Iterable[tuple[Relation, Built]],
) -> None:
    """Write down what has been built, in place of what was on record of it.

    Parameters
    ----------
    warehouse : Warehouse
    schema : str
        Where the record is.
    built : iterable of ((schema, name), Built)
    """
    rows = [
        {
            "schema": relation_schema,
            "name": name,
            "built_from": new.built_from,
            "standing": new.standing,
        }
        for (relation_schema, name), new in built
    ]
    if rows:
        names = {"schema": f'"{schema}"', "table": f'"{schema}".{RECORD_TABLE}'}
        with warehouse.begin() as connection:
            connection.exec_driver_sql(CREATE_RECORD.format(**names))
            connection.execute(sa.text(WRITE_RECORD.format(**names)), rows)


def read_standing(
    warehouse: Warehouse,
    schemas: Collection[str],
    with_rows: Collection[Relation],
) -> dict[Relation, Standing]:
    """How all views and tables of some schemas stand.

    Parameters
    ----------
    warehouse : Warehouse
    schemas : collection of str
    with_rows : collection of (schema, name)
        Whose rows, where they are tables, are part of the digest.
    """
    with warehouse.begin() as connection:
        found = {
            (row.schema, row.name): Standing(row.kind, row.digest)
            for row in connection.execute(
                sa.text(STANDING_QUERY), {"schemas": sorted(schemas)}
            )
        }
        tables = [
            relation
            for relation in with_rows
            if relation in found and found[relation].kind == TABLE
        ]
        if tables:
            for row in connection.exec_driver_sql(rows_query(tables)):
                relation = (row.schema, row.name)
                digest = found[relation].digest + row.digest
                found[relation] = Standing(TABLE, digest)
    return found


def rows_query(tables: Collection[Relation]) -> str:
    """SQL of a digest of the rows of each table, whatever their order."""
    return "\nunion all\n".join(
        f"select '{schema}' as schema, '{name}' as name, "
        "md5(coalesce(string_agg(md5(rows::text), '' "
        "order by md5(rows::text)), '')) as digest "
        f'from "{schema}"."{name}" as rows'
        for schema, name in sorted(tables)
    )
