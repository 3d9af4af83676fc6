"""Each start of a job."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from python_ml.schema.columns import ML, Timestamp, metadata

job_runs = Table(
    "job_runs",
    metadata,
    Column("job_run_id", BigInteger, Identity(), primary_key=True),
    Column("job", Text, nullable=False),
    Column("arguments", JSONB, nullable=False),
    Column(
        "status",
        Text,
        nullable=False,
        comment="running, succeeded, failed or abandoned (its process died)",
    ),
    Column("started_at", Timestamp, nullable=False),
    Column("finished_at", Timestamp),
    Column("duration_seconds", Double),
    Column("counts", JSONB),
    Column("peak_memory_mb", Double),
    Column("error_message", Text),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("code_version", Text, nullable=False),
    Column(
        "processor_seconds",
        Double,
        comment=(
            "Of its process and of those that it started and that have ended, "
            "the database server not counted; NULL while it runs."
        ),
    ),
    CheckConstraint(
        "status in ('running', 'succeeded', 'failed', 'abandoned')",
        name="status_is_known",
    ),
    Index(None, "job", "started_at"),
    schema=ML,
    comment="One row per start of a job.",
)
