"""Ledgers: tables whose rows are only ever added, and the proof of it.

Triggers of the migrations refuse every update, delete and truncate of them and
set `written_at` to the time of the transaction. `ledger_digests` chains what
was written day by day, so that a change behind the triggers' back is seen.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from python_ml.schema.checks import drift_checks
from python_ml.schema.columns import ML, created_at, metadata
from python_ml.schema.deployments import deployments, promotions
from python_ml.schema.forecasts import band_states, forecasts
from python_ml.schema.market import adjustments, bars
from python_ml.schema.training import ensembles, pooled_members

ledger_digests = Table(
    "ledger_digests",
    metadata,
    Column(
        "digest_number",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="From 1, without gaps.",
    ),
    Column("table_name", Text, nullable=False, comment="As ml.forecasts."),
    Column(
        "written_on",
        Date,
        nullable=False,
        comment=(
            "Day, UTC, of the rows' written_at; 0001-01-01 of rows from "
            "before it was kept."
        ),
    ),
    Column("n_rows", BigInteger, nullable=False),
    Column("columns", JSONB, nullable=False, comment="That were digested."),
    Column("rows_digest", Text, nullable=False, comment="SHA-256 of the rows."),
    Column(
        "digest",
        Text,
        nullable=False,
        comment="SHA-256 of this row and of the digest before it.",
    ),
    created_at(),
    UniqueConstraint("table_name", "written_on"),
    schema=ML,
    comment=(
        "One row per day and table on which rows were written; append-only. "
        "Each digest is over its rows and the digest before."
    ),
)

# Whose rows are digested.
LEDGERS = (
    bars,
    adjustments,
    pooled_members,
    ensembles,
    deployments,
    promotions,
    band_states,
    forecasts,
    drift_checks,
)
# Whose rows cannot be changed.
APPEND_ONLY = (*LEDGERS, ledger_digests)
