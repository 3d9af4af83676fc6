"""Tables that Python writes, in the schemas `raw` and `ml`.

Table and column names stand here once; Alembic migrations under
`warehouse/migrations` bring a database to this state and a test holds the two
together. dbt reads these tables as sources and writes none of them. With
`SWIFTBOLT_SCHEMA_PREFIX` set, engines translate `raw` and `ml` to the prefixed
names.

Times are UTC. Tables named append-only are never updated or deleted from.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import conv

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


def _created_at(name: str = "created_at") -> Column:  # type: ignore[type-arg]
    return Column(name, Timestamp, nullable=False, server_default=func.now())


symbols = Table(
    "symbols",
    metadata,
    Column("symbol_id", Integer, Identity(), primary_key=True),
    Column("ticker", Text, nullable=False, unique=True),
    Column("calendar", Text, nullable=False),
    Column("listed_from", Date, comment="First session with a bar."),
    Column("delisted_at", Timestamp, comment="NULL while listed."),
    Column("source", Text, nullable=False),
    _created_at(),
    Column("deactivated_at", Timestamp, comment="NULL while active."),
    Column("currency", Text, comment="Of its prices; NULL if not known."),
    schema=RAW,
    comment="One row per listed symbol.",
)

symbol_aliases = Table(
    "symbol_aliases",
    metadata,
    Column("ticker", Text, primary_key=True),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column(
        "valid_until",
        Date,
        nullable=False,
        comment="First session under the next ticker.",
    ),
    _created_at(),
    schema=RAW,
    comment="One row per former ticker of a symbol that was renamed.",
)

sessions = Table(
    "sessions",
    metadata,
    Column("calendar", Text, primary_key=True),
    Column("session_date", Date, primary_key=True),
    Column("opened_at", Timestamp, nullable=False),
    Column("closed_at", Timestamp, nullable=False),
    CheckConstraint("opened_at < closed_at", name="opens_before_close"),
    schema=RAW,
    comment="One row per exchange session, early closes included.",
)

ingest_batches = Table(
    "ingest_batches",
    metadata,
    Column(
        "batch_id",
        BigInteger,
        Identity(),
        primary_key=True,
        comment="Rises in commit order: given out under the ingest lock.",
    ),
    Column("source", Text, nullable=False),
    Column("job_run_id", BigInteger),
    Column("ingested_at", Timestamp, nullable=False),
    Column("n_bars", BigInteger, nullable=False),
    Column("n_adjustments", BigInteger, nullable=False),
    Column("n_rejected", BigInteger, nullable=False),
    schema=RAW,
    comment="One row per load that brought something new; append-only.",
)

bars = Table(
    "bars",
    metadata,
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        primary_key=True,
    ),
    Column("timeframe", Text, primary_key=True),
    Column("opened_at", Timestamp, primary_key=True),
    Column("batch_id", BigInteger, primary_key=True),
    Column("closed_at", Timestamp, nullable=False),
    Column("open", Double, nullable=False, comment="As traded."),
    Column("high", Double, nullable=False, comment="As traded."),
    Column("low", Double, nullable=False, comment="As traded."),
    Column("close", Double, nullable=False, comment="As traded."),
    Column("volume", Double, nullable=False, comment="Shares, as traded."),
    Column(
        "recorded_at",
        Timestamp,
        nullable=False,
        comment="When this value counts as known; closed_at for a backfill.",
    ),
    Column("is_backfill", Boolean, nullable=False),
    Column("ingested_at", Timestamp, nullable=False, comment="Real load time."),
    Column("source", Text, nullable=False),
    CheckConstraint("opened_at < closed_at", name="opens_before_close"),
    CheckConstraint(
        "low > 0 and low <= open and low <= close "
        "and open <= high and close <= high and high < 'Infinity'",
        name="prices_are_ordered",
    ),
    CheckConstraint(
        "volume >= 0 and volume < 'Infinity'", name="volume_is_finite"
    ),
    Index(None, "batch_id", postgresql_using="brin"),
    schema=RAW,
    comment=(
        "One row per record of a bar; append-only. A changed value is a new "
        "record, so one bar may have several; the last batch is the newest."
    ),
)

adjustments = Table(
    "adjustments",
    metadata,
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        primary_key=True,
    ),
    Column("effective_at", Timestamp, primary_key=True),
    Column("kind", Text, primary_key=True, comment="split or dividend"),
    Column("batch_id", BigInteger, primary_key=True),
    Column(
        "factor",
        Double,
        nullable=False,
        comment=(
            "Multiplies prices before effective_at to put them on the basis "
            "after it: 0.5 for a two-for-one split, close / (close + dividend) "
            "with the ex-date's close for a dividend."
        ),
    ),
    Column("recorded_at", Timestamp, nullable=False),
    Column("is_backfill", Boolean, nullable=False),
    Column("ingested_at", Timestamp, nullable=False),
    Column("source", Text, nullable=False),
    CheckConstraint("kind in ('split', 'dividend')", name="kind_is_known"),
    CheckConstraint(
        "factor > 0 and factor < 'Infinity'", name="factor_is_positive"
    ),
    schema=RAW,
    comment="One row per record of a split or dividend; append-only.",
)

rejected_bars = Table(
    "rejected_bars",
    metadata,
    Column("rejected_bar_id", BigInteger, Identity(), primary_key=True),
    Column("batch_source", Text, nullable=False),
    Column("ticker", Text),
    Column("timeframe", Text),
    Column("reason", Text, nullable=False),
    Column("source_row", JSONB, nullable=False, comment="The row as it came."),
    Column("source_row_number", BigInteger, comment="Counted from 1."),
    Column(
        "row_hash",
        Text,
        nullable=False,
        comment="Of source, row and reason: a second load adds nothing.",
    ),
    Column("rejected_at", Timestamp, nullable=False),
    UniqueConstraint("row_hash"),
    schema=RAW,
    comment="One row per source row that could not be stored, with why.",
)

price_jumps = Table(
    "price_jumps",
    metadata,
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        primary_key=True,
    ),
    Column("timeframe", Text, primary_key=True),
    Column("opened_at", Timestamp, primary_key=True),
    Column("found_at", Timestamp, nullable=False),
    schema=RAW,
    comment=(
        "One row per bar that opened far from the close before it, "
        "whatever the reason; append-only. What bars and adjustments "
        "say of it now is in suspected_splits."
    ),
)

default_horizons = Table(
    "default_horizons",
    metadata,
    Column("calendar", Text, primary_key=True),
    Column("timeframe", Text, primary_key=True),
    Column("horizon", Text, primary_key=True),
    Column("horizon_bars", Integer, nullable=False),
    Column("is_base", Boolean, nullable=False),
    CheckConstraint("horizon_bars >= 1", name="bars"),
    schema=RAW,
    comment=(
        "The spans ahead of a calendar that the seed horizons may lack, as "
        "its sessions had them when it was first loaded; never changed."
    ),
)

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
    CheckConstraint(
        "status in ('running', 'succeeded', 'failed', 'abandoned')",
        name="status_is_known",
    ),
    Index(None, "job", "started_at"),
    schema=ML,
    comment="One row per start of a job.",
)

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
    _created_at(),
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
    _created_at(),
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
    _created_at(),
    UniqueConstraint(
        "cut_id",
        "member",
        "horizon",
        "data_fingerprint",
        "settings_fingerprint",
    ),
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
    _created_at(),
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
    _created_at(),
    CheckConstraint(
        "weight >= 0 and weight <= 1.000000001", name="weight_is_a_share"
    ),
    schema=ML,
    comment="One row per version, horizon and member; append-only.",
)

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
    _created_at(),
    Column(
        "horizons",
        JSONB,
        nullable=False,
        comment="Names of those of the version that the row is about.",
    ),
    Index(None, "symbol_id", "timeframe", "effective_at"),
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
    _created_at(),
    Column(
        "run_name",
        Text,
        ForeignKey("ml.backtest_runs.run_name"),
        comment="Backtest that it belongs to; NULL for live.",
    ),
    Index(None, "calendar", "timeframe", "horizon", "as_of"),
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

forecasts = Table(
    "forecasts",
    metadata,
    Column("forecast_id", BigInteger, Identity(), primary_key=True),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column("timeframe", Text, nullable=False),
    Column("horizon", Text, nullable=False),
    Column("horizon_bars", Integer, nullable=False),
    Column("bar_number", Integer, nullable=False),
    Column("closed_at", Timestamp, nullable=False, comment="Of the last bar."),
    Column("run_kind", Text, nullable=False, comment="live, replay, backtest"),
    Column("run_name", Text, nullable=False),
    Column("issued_at", Timestamp, nullable=False, comment="Real time."),
    Column(
        "is_late",
        Boolean,
        nullable=False,
        comment="A live row issued later than the grace period.",
    ),
    Column("target_bar_number", Integer, nullable=False),
    Column("target_at", Timestamp, nullable=False),
    Column("probability_bearish", Double, nullable=False),
    Column("probability_neutral", Double, nullable=False),
    Column("probability_bullish", Double, nullable=False),
    Column("direction", Text, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("climatology_bearish", Double, nullable=False),
    Column("climatology_neutral", Double, nullable=False),
    Column("climatology_bullish", Double, nullable=False),
    Column("member_probabilities", JSONB, nullable=False),
    Column("reference_close", Double, nullable=False, comment="As traded."),
    Column(
        "expected_volatility",
        Double,
        nullable=False,
        comment="Of the log return to target_at.",
    ),
    Column(
        "forecast_volatility",
        Double,
        comment=(
            "What the bands are made from, the series' own factor included; "
            "NULL of forecasts issued before there was one."
        ),
    ),
    Column("label_threshold", Double, nullable=False, comment="Log return."),
    Column("price_target", Double, nullable=False),
    Column("lower_50", Double, nullable=False),
    Column("upper_50", Double, nullable=False),
    Column("lower_80", Double, nullable=False),
    Column("upper_80", Double, nullable=False),
    Column("lower_95", Double, nullable=False),
    Column("upper_95", Double, nullable=False),
    Column(
        "version_id",
        Text,
        ForeignKey(ensembles.c.version_id),
        nullable=False,
    ),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    Column(
        "trust",
        Text,
        comment=(
            "publish, caution or withhold; NULL of forecasts issued before it "
            "was judged."
        ),
    ),
    Column("trust_reasons", JSONB, comment="Why not publish, as a list."),
    CheckConstraint(
        "run_kind in ('live', 'replay', 'backtest')", name="run_kind_is_known"
    ),
    CheckConstraint(
        "trust in ('publish', 'caution', 'withhold')", name="trust_is_known"
    ),
    CheckConstraint(
        "direction in ('BEARISH', 'NEUTRAL', 'BULLISH')",
        name="direction_is_known",
    ),
    CheckConstraint("closed_at < target_at", name="target_is_ahead"),
    CheckConstraint(
        "abs(probability_bearish + probability_neutral "
        "+ probability_bullish - 1) < 1e-6 and least(probability_bearish, "
        "probability_neutral, probability_bullish) >= 0",
        name="probabilities_sum_to_one",
    ),
    CheckConstraint(
        "lower_95 <= lower_80 and lower_80 <= lower_50 "
        "and lower_50 <= upper_50 and upper_50 <= upper_80 "
        "and upper_80 <= upper_95 and lower_95 > 0",
        name="bands_are_nested",
    ),
    UniqueConstraint(
        "symbol_id",
        "timeframe",
        "horizon",
        "closed_at",
        "run_kind",
        "run_name",
    ),
    schema=ML,
    comment="One row per forecast issued; append-only.",
)

# What bands of one run, calendar, timeframe and horizon rest on.
BAND_KEY = ("run_kind", "run_name", "calendar", "timeframe", "horizon")


# Ends of bands and the median, by percent.
BAND_ENDS = ("2_5", "10", "25", "50", "75", "90", "97_5")


def _band_key() -> list[Column]:  # type: ignore[type-arg]
    return [Column(name, Text, nullable=False) for name in BAND_KEY]


band_states = Table(
    "band_states",
    metadata,
    *_band_key(),
    Column("bar_number", Integer, nullable=False),
    Column(
        "closed_at",
        Timestamp,
        nullable=False,
        comment="Of the bar; outcomes known by then are in.",
    ),
    Column(
        "from_bar_number",
        Integer,
        nullable=False,
        comment="Of the distribution that the offsets are added to.",
    ),
    *[Column(f"offset_{end}", Double, nullable=False) for end in BAND_ENDS],
    Column(
        "n_outcomes",
        Integer,
        nullable=False,
        comment="Series whose outcome settled at the bar.",
    ),
    Column(
        "share_inside_80",
        Double,
        comment="Of these, inside the 80% band; NULL without any.",
    ),
    Column(
        "batch_id",
        BigInteger,
        nullable=False,
        comment="Of the newest bars that it rests on.",
    ),
    Column("created_at", Timestamp, nullable=False, comment="Real time."),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    PrimaryKeyConstraint(*BAND_KEY, "bar_number"),
    schema=ML,
    comment="One row per bar at which bands were issued; append-only.",
)

band_quantiles = Table(
    "band_quantiles",
    metadata,
    *_band_key(),
    Column(
        "from_bar_number",
        Integer,
        nullable=False,
        comment="First bar that it serves at.",
    ),
    Column(
        "place_group",
        Integer,
        nullable=False,
        comment="Of places in the session, from 0.",
    ),
    *[Column(f"quantile_{end}", Double, nullable=False) for end in BAND_ENDS],
    Column("n_moves", Integer, nullable=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("created_at", Timestamp, nullable=False, comment="Real time."),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    PrimaryKeyConstraint(*BAND_KEY, "from_bar_number", "place_group"),
    schema=ML,
    comment="One row per distribution of moves and group of places.",
)

band_factors = Table(
    "band_factors",
    metadata,
    *_band_key(),
    Column(
        "from_bar_number",
        Integer,
        nullable=False,
        comment="First bar of the distribution that it belongs to.",
    ),
    Column(
        "symbol_id",
        Integer,
        ForeignKey(symbols.c.symbol_id),
        nullable=False,
    ),
    Column(
        "factor",
        Double,
        nullable=False,
        comment="What the series' forecast volatility is multiplied by.",
    ),
    PrimaryKeyConstraint(*BAND_KEY, "from_bar_number", "symbol_id"),
    schema=ML,
    comment="One row per distribution of moves and symbol.",
)

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
    Index(None, "symbol_id", "timeframe", "checked_at"),
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

backtest_runs = Table(
    "backtest_runs",
    metadata,
    Column("run_name", Text, primary_key=True),
    Column("policy", Text, nullable=False, comment="calendar, drift or both"),
    Column("from_date", Date, nullable=False, comment="UTC, inclusive."),
    Column("to_date", Date, nullable=False, comment="UTC, inclusive."),
    Column(
        "retrain",
        Text,
        nullable=False,
        comment="never, weekly, monthly, quarterly or yearly",
    ),
    Column(
        "weights",
        Text,
        nullable=False,
        comment="never, weekly, monthly, quarterly or yearly",
    ),
    Column("symbols", JSONB, comment="Tickers; NULL for all."),
    Column("timeframes", JSONB, comment="NULL for all."),
    Column("status", Text, nullable=False, comment="begun or finished"),
    Column("code_version", Text, nullable=False),
    _created_at(),
    Column("finished_at", Timestamp),
    CheckConstraint("from_date <= to_date", name="dates"),
    CheckConstraint(
        "policy in ('calendar', 'drift', 'both')", name="policy_is_known"
    ),
    CheckConstraint("status in ('begun', 'finished')", name="status_is_known"),
    schema=ML,
    comment="One row per backtest; status and finished_at change.",
)

backtest_steps = Table(
    "backtest_steps",
    metadata,
    Column(
        "run_name", Text, ForeignKey(backtest_runs.c.run_name), primary_key=True
    ),
    Column(
        "step_at",
        Timestamp,
        primary_key=True,
        comment="What was known then decided it.",
    ),
    Column(
        "step",
        Text,
        primary_key=True,
        comment="retrain, weights or forecast",
    ),
    Column(
        "until_at",
        Timestamp,
        comment="Last close that was forecast; NULL for other steps.",
    ),
    Column(
        "n_done",
        Integer,
        nullable=False,
        comment="Series trained, weights moved or forecasts issued.",
    ),
    Column("reason", Text, nullable=False),
    Column(
        "processor_seconds",
        Double,
        nullable=False,
        comment="Of this process and its workers, not of the server.",
    ),
    Column("peak_memory_mb", Double, nullable=False),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    _created_at(),
    CheckConstraint(
        "step in ('retrain', 'weights', 'forecast')", name="step_is_known"
    ),
    schema=ML,
    comment="One row per step of a backtest that is done; append-only.",
)

backtest_deployments = Table(
    "backtest_deployments",
    metadata,
    Column("deployment_id", BigInteger, Identity(), primary_key=True),
    Column(
        "run_name", Text, ForeignKey(backtest_runs.c.run_name), nullable=False
    ),
    Column(
        "symbol_id", Integer, ForeignKey(symbols.c.symbol_id), nullable=False
    ),
    Column("timeframe", Text, nullable=False),
    Column(
        "version_id", Text, ForeignKey(ensembles.c.version_id), nullable=False
    ),
    Column(
        "effective_at",
        Timestamp,
        nullable=False,
        comment="Bars closing at or after this are forecast by it.",
    ),
    Column("reason", Text, nullable=False),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    _created_at(),
    Column("horizons", JSONB, nullable=False),
    Index(
        conv("backtest_deployments_series_idx"),
        "run_name",
        "symbol_id",
        "timeframe",
        "effective_at",
    ),
    schema=ML,
    comment=(
        "One row per decision of a backtest which version takes over; "
        "append-only. Nothing here is live."
    ),
)
