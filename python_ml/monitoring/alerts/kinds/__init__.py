"""The kinds of alerts, one module each."""

from python_ml.monitoring.alerts.kind import AlertKind
from python_ml.monitoring.alerts.kinds.audit_finding import AUDIT_FINDING
from python_ml.monitoring.alerts.kinds.coverage_broken import COVERAGE_BROKEN
from python_ml.monitoring.alerts.kinds.data_stale import DATA_STALE
from python_ml.monitoring.alerts.kinds.drift import DRIFT
from python_ml.monitoring.alerts.kinds.job_failed import JOB_FAILED
from python_ml.monitoring.alerts.kinds.no_forecast import NO_FORECAST
from python_ml.monitoring.alerts.kinds.retrain_refused import RETRAIN_REFUSED

KINDS: tuple[AlertKind, ...] = (
    JOB_FAILED,
    AUDIT_FINDING,
    DATA_STALE,
    NO_FORECAST,
    DRIFT,
    COVERAGE_BROKEN,
    RETRAIN_REFUSED,
)

__all__ = ["KINDS"]
