"""Tables that Python writes, in the schemas `raw` and `ml`.

Table and column names stand here once; Alembic migrations under
`warehouse/migrations` bring a database to this state and a test holds the two
together. dbt reads these tables as sources and writes none of them. With
`SWIFTBOLT_SCHEMA_PREFIX` set, engines translate `raw` and `ml` to the prefixed
names.

Times are UTC. Tables named append-only are never updated or deleted from; the
database itself refuses it of those in `APPEND_ONLY`.
"""

from python_ml.schema.alerts import (
    alert_attempts,
    alert_deliveries,
    alert_messages,
    alerts,
)
from python_ml.schema.backtests import (
    backtest_deployments,
    backtest_runs,
    backtest_steps,
)
from python_ml.schema.checks import (
    accepted_findings,
    drift_checks,
    quarantined_series,
    validation_results,
)
from python_ml.schema.columns import ML, RAW, metadata
from python_ml.schema.deployments import (
    artifact_removals,
    deployments,
    evidence_restarts,
    promotions,
    retrain_requests,
)
from python_ml.schema.forecasts import (
    BAND_ENDS,
    BAND_KEY,
    band_factors,
    band_quantiles,
    band_states,
    forecasts,
)
from python_ml.schema.jobs import job_runs
from python_ml.schema.ledgers import APPEND_ONLY, LEDGERS, ledger_digests
from python_ml.schema.market import (
    adjustments,
    bars,
    default_horizons,
    ingest_batches,
    price_jumps,
    rejected_bars,
    sessions,
    symbol_aliases,
    symbols,
)
from python_ml.schema.training import (
    ensemble_weights,
    ensembles,
    pooled_members,
    training_cuts,
    training_runs,
)

__all__ = [
    "APPEND_ONLY",
    "BAND_ENDS",
    "BAND_KEY",
    "LEDGERS",
    "ML",
    "RAW",
    "accepted_findings",
    "adjustments",
    "alert_attempts",
    "alert_deliveries",
    "alert_messages",
    "alerts",
    "artifact_removals",
    "backtest_deployments",
    "backtest_runs",
    "backtest_steps",
    "band_factors",
    "band_quantiles",
    "band_states",
    "bars",
    "default_horizons",
    "deployments",
    "drift_checks",
    "ensemble_weights",
    "ensembles",
    "evidence_restarts",
    "forecasts",
    "ingest_batches",
    "job_runs",
    "ledger_digests",
    "metadata",
    "pooled_members",
    "price_jumps",
    "promotions",
    "quarantined_series",
    "rejected_bars",
    "retrain_requests",
    "sessions",
    "symbol_aliases",
    "symbols",
    "training_cuts",
    "training_runs",
    "validation_results",
]
