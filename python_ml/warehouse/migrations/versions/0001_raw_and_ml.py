"""Make the tables of the schemas `raw` and `ml`."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_runs",
        sa.Column("job_run_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("arguments", JSONB(), nullable=False),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment=(
                "running, succeeded, failed or abandoned (its process died)"
            ),
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("duration_seconds", sa.Double()),
        sa.Column("counts", JSONB()),
        sa.Column("peak_memory_mb", sa.Double()),
        sa.Column("error_message", sa.Text()),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "status in ('running', 'succeeded', 'failed', 'abandoned')",
            name=op.f("job_runs_status_is_known_check"),
        ),
        sa.PrimaryKeyConstraint("job_run_id", name=op.f("job_runs_pkey")),
        schema="ml",
        comment="One row per start of a job.",
    )
    op.create_index(
        op.f("job_runs_job_started_at_idx"),
        "job_runs",
        ["job", "started_at"],
        schema="ml",
    )
    op.create_table(
        "training_cuts",
        sa.Column("cut_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "split", sa.Text(), nullable=False, comment="fit/validation: 70/30"
        ),
        sa.Column("embargo_bars", sa.Integer(), nullable=False),
        sa.Column("window_bars", sa.Integer(), nullable=False),
        sa.Column(
            "window_starts_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="closed_at of the first bar of the window; inclusive.",
        ),
        sa.Column(
            "fit_labels_end_before",
            sa.DateTime(timezone=True),
            nullable=False,
            comment=(
                "A fit row's label_end_at is strictly before this: "
                "validation_starts_at less embargo_bars - 1 grid bars."
            ),
        ),
        sa.Column(
            "validation_starts_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="closed_at of the first validation bar; inclusive.",
        ),
        sa.Column(
            "scope", sa.Text(), nullable=False, comment="all: every series"
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "embargo_bars >= 1",
            name=op.f("training_cuts_embargo_is_positive_check"),
        ),
        sa.CheckConstraint(
            (
                "window_starts_at < fit_labels_end_before and "
                "window_starts_at < validation_starts_at and "
                "validation_starts_at < as_of"
            ),
            name=op.f("training_cuts_times_are_ordered_check"),
        ),
        sa.PrimaryKeyConstraint("cut_id", name=op.f("training_cuts_pkey")),
        sa.UniqueConstraint(
            "calendar",
            "timeframe",
            "as_of",
            "split",
            "embargo_bars",
            "window_bars",
            "scope",
            name=op.f(
                "training_cuts_calendar_timeframe_as_of_split_embargo_bar"
                "s_window_bars_scope_key"
            ),
        ),
        schema="ml",
        comment="One row per cut in calendar time; append-only.",
    )
    op.create_table(
        "ingest_batches",
        sa.Column(
            "batch_id",
            sa.BigInteger(),
            sa.Identity(),
            nullable=False,
            comment="Rises in commit order: given out under the ingest lock.",
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n_bars", sa.BigInteger(), nullable=False),
        sa.Column("n_adjustments", sa.BigInteger(), nullable=False),
        sa.Column("n_rejected", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("ingest_batches_pkey")),
        schema="raw",
        comment="One row per load that brought something new; append-only.",
    )
    op.create_table(
        "rejected_bars",
        sa.Column(
            "rejected_bar_id", sa.BigInteger(), sa.Identity(), nullable=False
        ),
        sa.Column("batch_source", sa.Text(), nullable=False),
        sa.Column("ticker", sa.Text()),
        sa.Column("timeframe", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "source_row", JSONB(), nullable=False, comment="The row as it came."
        ),
        sa.Column(
            "source_row_number", sa.BigInteger(), comment="Counted from 1."
        ),
        sa.Column(
            "row_hash",
            sa.Text(),
            nullable=False,
            comment="Of source, row and reason: a second load adds nothing.",
        ),
        sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "rejected_bar_id", name=op.f("rejected_bars_pkey")
        ),
        sa.UniqueConstraint(
            "row_hash", name=op.f("rejected_bars_row_hash_key")
        ),
        schema="raw",
        comment="One row per source row that could not be stored, with why.",
    )
    op.create_table(
        "sessions",
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("session_date", sa.Date(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "opened_at < closed_at",
            name=op.f("sessions_opens_before_close_check"),
        ),
        sa.PrimaryKeyConstraint(
            "calendar", "session_date", name=op.f("sessions_pkey")
        ),
        schema="raw",
        comment="One row per exchange session, early closes included.",
    )
    op.create_table(
        "symbols",
        sa.Column("symbol_id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("ticker", sa.Text(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column(
            "listed_from", sa.Date(), comment="First session with a bar."
        ),
        sa.Column(
            "delisted_at",
            sa.DateTime(timezone=True),
            comment="NULL while listed.",
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("symbol_id", name=op.f("symbols_pkey")),
        sa.UniqueConstraint("ticker", name=op.f("symbols_ticker_key")),
        schema="raw",
        comment="One row per listed symbol.",
    )
    op.create_table(
        "drift_checks",
        sa.Column(
            "drift_check_id", sa.BigInteger(), sa.Identity(), nullable=False
        ),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column(
            "window_ends_at",
            sa.DateTime(timezone=True),
            comment="Last settlement judged.",
        ),
        sa.Column("n_predictions", sa.Integer(), nullable=False),
        sa.Column("accuracy", sa.Double()),
        sa.Column("baseline_accuracy", sa.Double()),
        sa.Column("drift_margin", sa.Double()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("recommendation", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            ["ml.job_runs.job_run_id"],
            name=op.f("drift_checks_job_run_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            ["raw.symbols.symbol_id"],
            name=op.f("drift_checks_symbol_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "drift_check_id", name=op.f("drift_checks_pkey")
        ),
        schema="ml",
        comment="One row per series and drift check; append-only.",
    )
    op.create_index(
        op.f("drift_checks_symbol_id_timeframe_checked_at_idx"),
        "drift_checks",
        ["symbol_id", "timeframe", "checked_at"],
        schema="ml",
    )
    op.create_table(
        "ensembles",
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("symbol_id", sa.Integer()),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cut_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "artifact_path",
            sa.Text(),
            nullable=False,
            comment="Below SWIFTBOLT_HOME.",
        ),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("horizons", JSONB(), nullable=False),
        sa.Column(
            "feature_names", JSONB(), nullable=False, comment="In fit order."
        ),
        sa.Column(
            "classes", JSONB(), nullable=False, comment="In column order."
        ),
        sa.Column("data_fingerprint", sa.Text(), nullable=False),
        sa.Column("settings_fingerprint", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("library_versions", JSONB(), nullable=False),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["cut_id"],
            ["ml.training_cuts.cut_id"],
            name=op.f("ensembles_cut_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            ["ml.job_runs.job_run_id"],
            name=op.f("ensembles_job_run_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            ["raw.symbols.symbol_id"],
            name=op.f("ensembles_symbol_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("version_id", name=op.f("ensembles_pkey")),
        sa.UniqueConstraint(
            "symbol_id",
            "timeframe",
            "cut_id",
            "data_fingerprint",
            "settings_fingerprint",
            name=op.f(
                "ensembles_symbol_id_timeframe_cut_id_data_fingerprint_se"
                "ttings_fingerprint_key"
            ),
        ),
        schema="ml",
        comment="One row per immutable ensemble version; append-only.",
    )
    op.create_table(
        "validation_results",
        sa.Column(
            "validation_result_id",
            sa.BigInteger(),
            sa.Identity(),
            nullable=False,
        ),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column("validated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column(
            "dataset",
            sa.Text(),
            nullable=False,
            comment="Table, view or query.",
        ),
        sa.Column("expectation", sa.Text(), nullable=False),
        sa.Column("column_name", sa.Text()),
        sa.Column("is_success", sa.Boolean(), nullable=False),
        sa.Column("n_rows", sa.BigInteger()),
        sa.Column("n_unexpected", sa.BigInteger()),
        sa.Column(
            "details", JSONB(), nullable=False, comment="Sample keys, reason."
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            ["ml.job_runs.job_run_id"],
            name=op.f("validation_results_job_run_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "validation_result_id", name=op.f("validation_results_pkey")
        ),
        schema="ml",
        comment="One row per expectation and run; append-only.",
    )
    op.create_index(
        op.f("validation_results_job_run_id_idx"),
        "validation_results",
        ["job_run_id"],
        schema="ml",
    )
    op.create_table(
        "adjustments",
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="split or dividend"
        ),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "factor",
            sa.Double(),
            nullable=False,
            comment=(
                "Multiplies prices before effective_at to put them on the "
                "basis after it: 0.5 for a two-for-one split, close / (close "
                "+ dividend) with the ex-date's close for a dividend."
            ),
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_backfill", sa.Boolean(), nullable=False),
        sa.Column("ingested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "factor > 0 and factor < 'Infinity'",
            name=op.f("adjustments_factor_is_positive_check"),
        ),
        sa.CheckConstraint(
            "kind in ('split', 'dividend')",
            name=op.f("adjustments_kind_is_known_check"),
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            ["raw.symbols.symbol_id"],
            name=op.f("adjustments_symbol_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "symbol_id",
            "effective_at",
            "kind",
            "batch_id",
            name=op.f("adjustments_pkey"),
        ),
        schema="raw",
        comment="One row per record of a split or dividend; append-only.",
    )
    op.create_table(
        "bars",
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open", sa.Double(), nullable=False, comment="As traded."),
        sa.Column("high", sa.Double(), nullable=False, comment="As traded."),
        sa.Column("low", sa.Double(), nullable=False, comment="As traded."),
        sa.Column("close", sa.Double(), nullable=False, comment="As traded."),
        sa.Column(
            "volume", sa.Double(), nullable=False, comment="Shares, as traded."
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment=(
                "When this value counts as known; closed_at for a backfill."
            ),
        ),
        sa.Column("is_backfill", sa.Boolean(), nullable=False),
        sa.Column(
            "ingested_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Real load time.",
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.CheckConstraint(
            (
                "low > 0 and low <= open and low <= close and open <= high "
                "and close <= high and high < 'Infinity'"
            ),
            name=op.f("bars_prices_are_ordered_check"),
        ),
        sa.CheckConstraint(
            "volume >= 0 and volume < 'Infinity'",
            name=op.f("bars_volume_is_finite_check"),
        ),
        sa.CheckConstraint(
            "opened_at < closed_at", name=op.f("bars_opens_before_close_check")
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            ["raw.symbols.symbol_id"],
            name=op.f("bars_symbol_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "symbol_id",
            "timeframe",
            "opened_at",
            "batch_id",
            name=op.f("bars_pkey"),
        ),
        schema="raw",
        comment=(
            "One row per record of a bar; append-only. A changed value is a "
            "new record, so one bar may have several; the last batch is the "
            "newest."
        ),
    )
    op.create_table(
        "deployments",
        sa.Column(
            "deployment_id", sa.BigInteger(), sa.Identity(), nullable=False
        ),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column(
            "effective_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment=(
                "Bars closing at or after this are forecast by the version."
            ),
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            ["ml.job_runs.job_run_id"],
            name=op.f("deployments_job_run_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            ["raw.symbols.symbol_id"],
            name=op.f("deployments_symbol_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["ml.ensembles.version_id"],
            name=op.f("deployments_version_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("deployment_id", name=op.f("deployments_pkey")),
        schema="ml",
        comment=(
            "One row per decision which version is live; append-only. At a "
            "time t the live version is that of the row with the greatest "
            "effective_at not after t, the last written among equals."
        ),
    )
    op.create_index(
        op.f("deployments_symbol_id_timeframe_effective_at_idx"),
        "deployments",
        ["symbol_id", "timeframe", "effective_at"],
        schema="ml",
    )
    op.create_table(
        "ensemble_weights",
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("horizon", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("alpha", sa.Double()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "weight >= 0 and weight <= 1.000000001",
            name=op.f("ensemble_weights_weight_is_a_share_check"),
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["ml.ensembles.version_id"],
            name=op.f("ensemble_weights_version_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "version_id",
            "horizon",
            "member",
            name=op.f("ensemble_weights_pkey"),
        ),
        schema="ml",
        comment="One row per version, horizon and member; append-only.",
    )
    op.create_table(
        "forecasts",
        sa.Column(
            "forecast_id", sa.BigInteger(), sa.Identity(), nullable=False
        ),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("horizon", sa.Text(), nullable=False),
        sa.Column("horizon_bars", sa.Integer(), nullable=False),
        sa.Column("bar_number", sa.Integer(), nullable=False),
        sa.Column(
            "closed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Of the last bar.",
        ),
        sa.Column(
            "run_kind",
            sa.Text(),
            nullable=False,
            comment="live, replay, backtest",
        ),
        sa.Column("run_name", sa.Text(), nullable=False),
        sa.Column(
            "issued_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Real time.",
        ),
        sa.Column(
            "is_late",
            sa.Boolean(),
            nullable=False,
            comment="A live row issued later than the grace period.",
        ),
        sa.Column("target_bar_number", sa.Integer(), nullable=False),
        sa.Column("target_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("probability_bearish", sa.Double(), nullable=False),
        sa.Column("probability_neutral", sa.Double(), nullable=False),
        sa.Column("probability_bullish", sa.Double(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("climatology_bearish", sa.Double(), nullable=False),
        sa.Column("climatology_neutral", sa.Double(), nullable=False),
        sa.Column("climatology_bullish", sa.Double(), nullable=False),
        sa.Column("member_probabilities", JSONB(), nullable=False),
        sa.Column(
            "reference_close", sa.Double(), nullable=False, comment="As traded."
        ),
        sa.Column(
            "expected_volatility",
            sa.Double(),
            nullable=False,
            comment="Of the log return to target_at.",
        ),
        sa.Column(
            "label_threshold",
            sa.Double(),
            nullable=False,
            comment="Log return.",
        ),
        sa.Column("price_target", sa.Double(), nullable=False),
        sa.Column("lower_50", sa.Double(), nullable=False),
        sa.Column("upper_50", sa.Double(), nullable=False),
        sa.Column("lower_80", sa.Double(), nullable=False),
        sa.Column("upper_80", sa.Double(), nullable=False),
        sa.Column("lower_95", sa.Double(), nullable=False),
        sa.Column("upper_95", sa.Double(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.CheckConstraint(
            "direction in ('BEARISH', 'NEUTRAL', 'BULLISH')",
            name=op.f("forecasts_direction_is_known_check"),
        ),
        sa.CheckConstraint(
            "run_kind in ('live', 'replay', 'backtest')",
            name=op.f("forecasts_run_kind_is_known_check"),
        ),
        sa.CheckConstraint(
            (
                "abs(probability_bearish + probability_neutral + "
                "probability_bullish - 1) < 1e-6 and "
                "least(probability_bearish, probability_neutral, "
                "probability_bullish) >= 0"
            ),
            name=op.f("forecasts_probabilities_sum_to_one_check"),
        ),
        sa.CheckConstraint(
            "closed_at < target_at",
            name=op.f("forecasts_target_is_ahead_check"),
        ),
        sa.CheckConstraint(
            (
                "lower_95 <= lower_80 and lower_80 <= lower_50 and lower_50 "
                "<= upper_50 and upper_50 <= upper_80 and upper_80 <= "
                "upper_95 and lower_95 > 0"
            ),
            name=op.f("forecasts_bands_are_nested_check"),
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            ["ml.job_runs.job_run_id"],
            name=op.f("forecasts_job_run_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            ["raw.symbols.symbol_id"],
            name=op.f("forecasts_symbol_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["ml.ensembles.version_id"],
            name=op.f("forecasts_version_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("forecast_id", name=op.f("forecasts_pkey")),
        sa.UniqueConstraint(
            "symbol_id",
            "timeframe",
            "horizon",
            "closed_at",
            "run_kind",
            "run_name",
            name=op.f(
                "forecasts_symbol_id_timeframe_horizon_closed_at_run_kind"
                "_run_name_key"
            ),
        ),
        schema="ml",
        comment="One row per forecast issued; append-only.",
    )
    op.create_table(
        "training_runs",
        sa.Column(
            "training_run_id", sa.BigInteger(), sa.Identity(), nullable=False
        ),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("horizon", sa.Text(), nullable=False),
        sa.Column("run_date", sa.Date(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "trigger",
            sa.Text(),
            nullable=False,
            comment="manual, scheduled, drift",
        ),
        sa.Column("cut_id", sa.BigInteger()),
        sa.Column("version_id", sa.Text()),
        sa.Column(
            "status", sa.Text(), nullable=False, comment="succeeded or failed"
        ),
        sa.Column("error_message", sa.Text()),
        sa.Column("lookback_bars", sa.Integer(), comment="Bars in the window."),
        sa.Column("n_fit", sa.Integer()),
        sa.Column("n_validation", sa.Integer()),
        sa.Column("n_purged", sa.Integer()),
        sa.Column(
            "n_validation_effective", sa.Double(), comment="n_validation / h"
        ),
        sa.Column("train_accuracy", sa.Double()),
        sa.Column("ensemble_validation_accuracy", sa.Double()),
        sa.Column("ensemble_validation_accuracy_se", sa.Double()),
        sa.Column(
            "baseline_accuracy",
            sa.Double(),
            comment="Of always naming climatology's largest class.",
        ),
        sa.Column(
            "majority_share",
            sa.Double(),
            comment="Share of validation's largest class.",
        ),
        sa.Column(
            "skill",
            sa.Double(),
            comment="1 - log loss / climatology's log loss.",
        ),
        sa.Column("skill_se", sa.Double()),
        sa.Column(
            "overfit_margin",
            sa.Double(),
            comment="train_accuracy less ensemble_validation_accuracy.",
        ),
        sa.Column(
            "is_overfit", sa.Boolean(), comment="overfit_margin above 0.20"
        ),
        sa.Column(
            "is_in_expected_band",
            sa.Boolean(),
            comment=(
                "ensemble_validation_accuracy in [0.50, 0.65]; reported only."
            ),
        ),
        sa.Column("model_performances", JSONB(), comment="By member."),
        sa.Column("weights", JSONB(), comment="By member, as deployed."),
        sa.Column("weight_method", sa.Text()),
        sa.Column("weight_alpha", sa.Double()),
        sa.Column("weight_reason", sa.Text()),
        sa.Column("models_artifact_path", sa.Text()),
        sa.Column("data_fingerprint", sa.Text()),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("duration_seconds", sa.Double()),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "status in ('succeeded', 'failed')",
            name=op.f("training_runs_status_is_known_check"),
        ),
        sa.ForeignKeyConstraint(
            ["cut_id"],
            ["ml.training_cuts.cut_id"],
            name=op.f("training_runs_cut_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            ["ml.job_runs.job_run_id"],
            name=op.f("training_runs_job_run_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            ["raw.symbols.symbol_id"],
            name=op.f("training_runs_symbol_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["ml.ensembles.version_id"],
            name=op.f("training_runs_version_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "training_run_id", name=op.f("training_runs_pkey")
        ),
        schema="ml",
        comment="One row per series and horizon of a training; append-only.",
    )
    op.create_index(
        op.f("training_runs_symbol_id_timeframe_horizon_as_of_idx"),
        "training_runs",
        ["symbol_id", "timeframe", "horizon", "as_of"],
        schema="ml",
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
