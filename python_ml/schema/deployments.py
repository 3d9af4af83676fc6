"""Which versions are live, and what asked for others."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
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

from python_ml.schema.columns import (
    ML,
    Timestamp,
    created_at,
    metadata,
    written_at,
)
from python_ml.schema.jobs import job_runs
from python_ml.schema.market import symbols
from python_ml.schema.training import ensembles, training_cuts

deployments = Table(
    "deployments",
    metadata,
    Column("deployment_id", BigInteger, Identity(), primary_key=True),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column("timeframe", Text, nullable=False),
    Column(
        "version_id",
        Text,
        ForeignKey(ensembles.c.version_id),
        nullable=False,
    ),
    Column(
        "effective_at",
        Timestamp,
        nullable=False,
        comment="Bars closing at or after this are forecast by the version.",
    ),
    Column("reason", Text, nullable=False),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    created_at(),
    Column(
        "horizons",
        JSONB,
        nullable=False,
        comment="Names of those of the version that the row is about.",
    ),
    Index(None, "symbol_id", "timeframe", "effective_at"),
    written_at(),
    Index(None, "written_at", postgresql_using="brin"),
    schema=ML,
    comment=(
        "One row per decision which version is live; append-only. At a time t "
        "the live version of a horizon is that of the row with the greatest "
        "effective_at not after t whose horizons hold it, the last written "
        "among equals."
    ),
)

promotions = Table(
    "promotions",
    metadata,
    Column("promotion_id", BigInteger, Identity(), primary_key=True),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    Column("calendar", Text, nullable=False),
    Column("timeframe", Text, nullable=False),
    Column("horizon", Text, nullable=False),
    Column("cut_id", BigInteger, ForeignKey(training_cuts.c.cut_id)),
    Column("as_of", Timestamp, nullable=False, comment="Of the challengers."),
    Column("mode", Text, nullable=False, comment="judge or always"),
    Column("verdict", Text, nullable=False, comment="See reason for people."),
    Column("is_promoted", Boolean, nullable=False),
    Column(
        "version_ids", JSONB, nullable=False, comment="Challengers decided on."
    ),
    Column(
        "deployed_version_ids",
        JSONB,
        nullable=False,
        comment="Those of them that were deployed for the horizon.",
    ),
    Column(
        "champion_version_ids",
        JSONB,
        nullable=False,
        comment="Versions live at as_of that could have gone on.",
    ),
    Column("n_series", Integer, nullable=False, comment="Compared."),
    Column("n_rows", Integer, nullable=False, comment="Series and bars."),
    Column("n_bars", Integer, nullable=False, comment="Different closes."),
    Column("n_blocks", Integer, nullable=False),
    Column("challenger_log_loss", Double),
    Column("champion_log_loss", Double),
    Column("climatology_log_loss", Double),
    Column(
        "mean_difference",
        Double,
        comment="Challenger's log loss less the champions'; below 0 is better.",
    ),
    Column("mean_difference_se", Double),
    Column(
        "climatology_difference",
        Double,
        comment="Challenger's log loss less climatology's.",
    ),
    Column("climatology_difference_se", Double),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    created_at(),
    Column(
        "run_name",
        Text,
        ForeignKey("ml.backtest_runs.run_name"),
        comment="Backtest that it belongs to; NULL for live.",
    ),
    Index(None, "calendar", "timeframe", "horizon", "as_of"),
    written_at(),
    Index(None, "written_at", postgresql_using="brin"),
    schema=ML,
    comment=(
        "One row per decision whether the versions of a training are deployed "
        "for a horizon; append-only."
    ),
)

artifact_removals = Table(
    "artifact_removals",
    metadata,
    Column("artifact_removal_id", BigInteger, Identity(), primary_key=True),
    Column("artifact_path", Text, nullable=False),
    Column(
        "version_id",
        Text,
        ForeignKey(ensembles.c.version_id),
        comment="NULL for a file that versions shared.",
    ),
    Column("sha256", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    Column("removed_at", Timestamp, nullable=False),
    UniqueConstraint("artifact_path"),
    schema=ML,
    comment="One row per artifact that was pruned; append-only.",
)

retrain_requests = Table(
    "retrain_requests",
    metadata,
    Column("retrain_request_id", BigInteger, Identity(), primary_key=True),
    Column("requested_at", Timestamp, nullable=False),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column("timeframe", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("status", Text, nullable=False, comment="open or served"),
    Column("n_attempts", Integer, nullable=False),
    Column(
        "error_message", Text, comment="Why the last attempt did not serve it."
    ),
    Column("served_by", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    Column("served_version_id", Text, ForeignKey(ensembles.c.version_id)),
    Column("served_at", Timestamp),
    Column(
        "kind",
        Text,
        nullable=False,
        server_default="manual",
        comment="manual, evidence, pooled_evidence, accuracy_loss or expired",
    ),
    CheckConstraint("status in ('open', 'served')", name="status_is_known"),
    Index(
        "retrain_requests_one_open_per_series_idx",
        "symbol_id",
        "timeframe",
        unique=True,
        postgresql_where=text("status = 'open'"),
    ),
    schema=ML,
    comment=(
        "One row per request to train a series again, at most one of them open."
    ),
)

evidence_restarts = Table(
    "evidence_restarts",
    metadata,
    Column("evidence_restart_id", BigInteger, Identity(), primary_key=True),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        comment="NULL for the pooled tests of the timeframe.",
    ),
    Column("timeframe", Text, nullable=False),
    Column(
        "restarted_at",
        Timestamp,
        nullable=False,
        comment="Forecasts from bars closing at or after this count.",
    ),
    Column(
        "reason",
        Text,
        nullable=False,
        comment="What was done about the alarm.",
    ),
    Column(
        "retrain_request_id",
        BigInteger,
        ForeignKey(retrain_requests.c.retrain_request_id),
    ),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    created_at(),
    Index(None, "symbol_id", "timeframe"),
    schema=ML,
    comment=(
        "One row per time that evidence of drift began anew, because an alarm "
        "was acted on; append-only."
    ),
)
