"""What was trained: cuts, versions, members, weights."""

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
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import conv

from python_ml.schema.columns import (
    ML,
    Timestamp,
    created_at,
    metadata,
    written_at,
)
from python_ml.schema.jobs import job_runs
from python_ml.schema.market import symbols

training_cuts = Table(
    "training_cuts",
    metadata,
    Column("cut_id", BigInteger, Identity(), primary_key=True),
    Column("calendar", Text, nullable=False),
    Column("timeframe", Text, nullable=False),
    Column("as_of", Timestamp, nullable=False),
    Column("split", Text, nullable=False, comment="fit/validation: 70/30"),
    Column("embargo_bars", Integer, nullable=False),
    Column("window_bars", Integer, nullable=False),
    Column(
        "window_starts_at",
        Timestamp,
        nullable=False,
        comment="closed_at of the first bar of the window; inclusive.",
    ),
    Column(
        "pooled_window_starts_at",
        Timestamp,
        comment=(
            "The same of the window of pooled members; NULL where it is the "
            "window's."
        ),
    ),
    Column(
        "fit_labels_end_before",
        Timestamp,
        nullable=False,
        comment=(
            "A fit row's label_end_at is strictly before this: "
            "validation_starts_at less embargo_bars - 1 grid bars."
        ),
    ),
    Column(
        "validation_starts_at",
        Timestamp,
        nullable=False,
        comment="closed_at of the first validation bar; inclusive.",
    ),
    Column("scope", Text, nullable=False, comment="all: every series"),
    created_at(),
    CheckConstraint(
        "window_starts_at < fit_labels_end_before "
        "and window_starts_at < validation_starts_at "
        "and validation_starts_at < as_of",
        name="times_are_ordered",
    ),
    CheckConstraint("embargo_bars >= 1", name="embargo_is_positive"),
    # Every value: a horizon that is gone or new moves times of the same window.
    UniqueConstraint(
        "calendar",
        "timeframe",
        "as_of",
        "split",
        "embargo_bars",
        "window_bars",
        "window_starts_at",
        "pooled_window_starts_at",
        "fit_labels_end_before",
        "validation_starts_at",
        "scope",
        name=conv("training_cuts_values_key"),
    ),
    schema=ML,
    comment="One row per cut in calendar time; append-only.",
)

ensembles = Table(
    "ensembles",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("symbol_id", Integer, ForeignKey(symbols.c.symbol_id)),
    Column("timeframe", Text, nullable=False),
    Column("as_of", Timestamp, nullable=False),
    Column(
        "cut_id",
        BigInteger,
        ForeignKey(training_cuts.c.cut_id),
        nullable=False,
    ),
    Column(
        "artifact_path",
        Text,
        nullable=False,
        comment="Below SWIFTBOLT_HOME.",
    ),
    Column("sha256", Text, nullable=False),
    Column("horizons", JSONB, nullable=False),
    Column(
        "pooled_members",
        JSONB,
        nullable=False,
        server_default="[]",
        comment="pooled_member_id of each artifact it refers to.",
    ),
    Column("feature_names", JSONB, nullable=False, comment="In fit order."),
    Column("classes", JSONB, nullable=False, comment="In column order."),
    Column("data_fingerprint", Text, nullable=False),
    Column("settings_fingerprint", Text, nullable=False),
    Column("code_version", Text, nullable=False),
    Column("library_versions", JSONB, nullable=False),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    created_at(),
    Column(
        "members_version_id",
        Text,
        ForeignKey("ml.ensembles.version_id"),
        comment="Version whose fitted members it shares; NULL for its own.",
    ),
    Column(
        "run_name",
        Text,
        ForeignKey("ml.backtest_runs.run_name"),
        comment="Backtest that it belongs to; NULL for live.",
    ),
    UniqueConstraint(
        "symbol_id",
        "timeframe",
        "cut_id",
        "data_fingerprint",
        "settings_fingerprint",
    ),
    written_at(),
    Index(None, "written_at", postgresql_using="brin"),
    schema=ML,
    comment="One row per immutable ensemble version; append-only.",
)

pooled_members = Table(
    "pooled_members",
    metadata,
    Column("pooled_member_id", Text, primary_key=True),
    Column("member", Text, nullable=False),
    Column("calendar", Text, nullable=False),
    Column("timeframe", Text, nullable=False),
    Column("horizon", Text, nullable=False),
    Column(
        "cut_id",
        BigInteger,
        ForeignKey(training_cuts.c.cut_id),
        nullable=False,
    ),
    Column(
        "artifact_path", Text, nullable=False, comment="Below SWIFTBOLT_HOME."
    ),
    Column("sha256", Text, nullable=False, unique=True),
    Column("data_fingerprint", Text, nullable=False),
    Column("settings_fingerprint", Text, nullable=False),
    Column("n_rows", Integer, nullable=False, comment="After thinning."),
    Column("n_series", Integer, nullable=False),
    Column("n_effective", Double, nullable=False, comment="Times / h."),
    Column("duration_seconds", Double, nullable=False),
    Column("code_version", Text, nullable=False),
    Column("library_versions", JSONB, nullable=False),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    created_at(),
    UniqueConstraint(
        "cut_id",
        "member",
        "horizon",
        "data_fingerprint",
        "settings_fingerprint",
    ),
    written_at(),
    Index(None, "written_at", postgresql_using="brin"),
    schema=ML,
    comment=(
        "One row per member that was fitted once for all series of a timeframe "
        "and horizon; append-only. Ensembles name them in pooled_members."
    ),
)

training_runs = Table(
    "training_runs",
    metadata,
    Column("training_run_id", BigInteger, Identity(), primary_key=True),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column("timeframe", Text, nullable=False),
    Column("horizon", Text, nullable=False),
    Column("run_date", Date, nullable=False),
    Column("as_of", Timestamp, nullable=False),
    Column(
        "trigger",
        Text,
        nullable=False,
        comment="manual, scheduled, drift, request, backtest or weights",
    ),
    Column("cut_id", BigInteger, ForeignKey(training_cuts.c.cut_id)),
    Column("version_id", Text, ForeignKey(ensembles.c.version_id)),
    Column("status", Text, nullable=False, comment="succeeded or failed"),
    Column("error_message", Text),
    Column("lookback_bars", Integer, comment="Bars in the window."),
    Column("n_fit", Integer),
    Column("n_validation", Integer),
    Column("n_purged", Integer),
    Column("n_validation_effective", Double, comment="n_validation / h"),
    Column("train_accuracy", Double),
    Column("ensemble_validation_accuracy", Double),
    Column("ensemble_validation_accuracy_se", Double),
    Column(
        "baseline_accuracy",
        Double,
        comment="Of always naming climatology's largest class.",
    ),
    Column(
        "majority_share", Double, comment="Share of validation's largest class."
    ),
    Column("skill", Double, comment="1 - log loss / climatology's log loss."),
    Column("skill_se", Double),
    Column(
        "overfit_margin",
        Double,
        comment="train_accuracy less ensemble_validation_accuracy.",
    ),
    Column("is_overfit", Boolean, comment="overfit_margin above 0.20"),
    Column(
        "is_in_expected_band",
        Boolean,
        comment="ensemble_validation_accuracy in [0.50, 0.65]; reported only.",
    ),
    Column("model_performances", JSONB, comment="By member."),
    Column("weights", JSONB, comment="By member, as deployed."),
    Column("weight_method", Text),
    Column("weight_alpha", Double),
    Column("weight_reason", Text),
    Column("models_artifact_path", Text),
    Column("data_fingerprint", Text),
    Column("code_version", Text, nullable=False),
    Column("duration_seconds", Double),
    created_at(),
    CheckConstraint(
        "status in ('succeeded', 'failed')", name="status_is_known"
    ),
    Index(None, "symbol_id", "timeframe", "horizon", "as_of"),
    schema=ML,
    comment="One row per series and horizon of a training; append-only.",
)

ensemble_weights = Table(
    "ensemble_weights",
    metadata,
    Column(
        "version_id",
        Text,
        ForeignKey(ensembles.c.version_id),
        primary_key=True,
    ),
    Column("horizon", Text, primary_key=True),
    Column("member", Text, primary_key=True),
    Column("weight", Double, nullable=False),
    Column("method", Text, nullable=False),
    Column("alpha", Double),
    Column("reason", Text, nullable=False),
    created_at(),
    CheckConstraint(
        "weight >= 0 and weight <= 1.000000001", name="weight_is_a_share"
    ),
    schema=ML,
    comment="One row per version, horizon and member; append-only.",
)
