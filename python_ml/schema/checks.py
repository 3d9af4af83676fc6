"""What validation, drift and findings say of series."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import conv

from python_ml.schema.columns import ML, Timestamp, metadata, written_at
from python_ml.schema.jobs import job_runs
from python_ml.schema.market import symbols

validation_results = Table(
    "validation_results",
    metadata,
    Column("validation_result_id", BigInteger, Identity(), primary_key=True),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    Column("validated_at", Timestamp, nullable=False),
    Column("suite", Text, nullable=False),
    Column("dataset", Text, nullable=False, comment="Table, view or query."),
    Column("expectation", Text, nullable=False),
    Column("column_name", Text),
    Column("is_success", Boolean, nullable=False),
    Column("n_rows", BigInteger),
    Column("n_unexpected", BigInteger),
    Column("details", JSONB, nullable=False, comment="Sample keys, reason."),
    Index(None, "job_run_id"),
    schema=ML,
    comment="One row per expectation and run; append-only.",
)

drift_checks = Table(
    "drift_checks",
    metadata,
    Column("drift_check_id", BigInteger, Identity(), primary_key=True),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    Column("checked_at", Timestamp, nullable=False),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column("timeframe", Text, nullable=False),
    Column("window_ends_at", Timestamp, comment="Last settlement judged."),
    Column("n_predictions", Integer, nullable=False),
    Column("accuracy", Double),
    Column("baseline_accuracy", Double),
    Column("drift_margin", Double),
    Column("status", Text, nullable=False),
    Column("recommendation", Text, nullable=False),
    Column("accuracy_lower", Double, comment="Lower end of the 95% interval."),
    Column("accuracy_upper", Double, comment="Upper end of the 95% interval."),
    Column("n_effective", Double, comment="Independent predictions."),
    Column(
        "drift_detected", Boolean, comment="NULL where data are insufficient."
    ),
    Column(
        "evidence_share", Double, comment="Largest evidence / its threshold."
    ),
    Column("evidence_test", Text, comment="Test of the largest."),
    Column("evidence_horizon", Text, comment="Horizon of the largest."),
    Column("is_alarm", Boolean, comment="Any test of the series."),
    Column("is_discovery", Boolean, comment="Any test of the series."),
    Column(
        "action",
        Text,
        comment=(
            "What the check did: none, retrain_requested, request_is_open or "
            "cooling_down; NULL of checks before it was written."
        ),
    ),
    Index(None, "symbol_id", "timeframe", "checked_at"),
    written_at(),
    Index(None, "written_at", postgresql_using="brin"),
    schema=ML,
    comment="One row per series and drift check; append-only.",
)

quarantined_series = Table(
    "quarantined_series",
    metadata,
    Column("quarantine_id", BigInteger, Identity(), primary_key=True),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column("timeframe", Text, nullable=False),
    Column(
        "source",
        Text,
        nullable=False,
        comment="The check: series_findings, a dbt test, a suite.",
    ),
    Column("reason", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column(
        "fault_at",
        Timestamp,
        comment=(
            "Close of the first bar at fault; what lies before it may be "
            "used. NULL where the whole series is."
        ),
    ),
    Column("quarantined_at", Timestamp, nullable=False),
    Column("released_at", Timestamp, comment="NULL while it is set aside."),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    Column(
        "released_by_job_run_id",
        BigInteger,
        ForeignKey(job_runs.c.job_run_id),
    ),
    CheckConstraint(
        "released_at is null or released_at >= quarantined_at",
        name="times_are_ordered",
    ),
    Index(
        conv("quarantined_series_open_key"),
        "symbol_id",
        "timeframe",
        "source",
        "reason",
        unique=True,
        postgresql_where=text("released_at is null"),
    ),
    schema=ML,
    comment=(
        "One row per series, reason and span of time in which it is out "
        "of training and forecasting; only released_at is ever changed."
    ),
)

accepted_findings = Table(
    "accepted_findings",
    metadata,
    Column("accepted_finding_id", BigInteger, Identity(), primary_key=True),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column("kind", Text, nullable=False),
    Column("session_date", Date, nullable=False),
    Column("reason", Text, nullable=False),
    Column("accepted_by", Text, nullable=False),
    Column("accepted_at", Timestamp, nullable=False),
    UniqueConstraint("symbol_id", "kind", "session_date"),
    schema=ML,
    comment=(
        "One row per finding on a symbol's bars that a person has "
        "accepted; append-only."
    ),
)
