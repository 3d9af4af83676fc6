"""Backtests, and what they decided: nothing here is live."""

from sqlalchemy import (
    BigInteger,
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
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import conv

from python_ml.schema.columns import ML, Timestamp, created_at, metadata
from python_ml.schema.jobs import job_runs
from python_ml.schema.market import symbols
from python_ml.schema.training import ensembles

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
    created_at(),
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
    created_at(),
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
    created_at(),
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
