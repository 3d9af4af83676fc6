"""The schemas, and what their tables share."""

from sqlalchemy import (
    Column,
    DateTime,
    MetaData,
    func,
)

RAW = "raw"
ML = "ml"

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

Timestamp = DateTime(timezone=True)


def created_at(name: str = "created_at") -> Column:  # type: ignore[type-arg]
    """When the row was written, by the server's clock."""
    return Column(name, Timestamp, nullable=False, server_default=func.now())


def written_at() -> Column:  # type: ignore[type-arg]
    """When the row of a ledger was written; no writer may say otherwise."""
    return Column(
        "written_at",
        Timestamp,
        server_default=func.now(),
        comment=(
            "By the database's clock; NULL of rows from before it was kept."
        ),
    )
