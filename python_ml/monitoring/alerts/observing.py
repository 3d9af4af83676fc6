"""Ask the warehouse what someone should know of, one statement a kind."""

import datetime
from collections.abc import Sequence

import pandas as pd

from python_ml.console.logs import get_logger, log_event
from python_ml.monitoring.alerts.kind import AlertKind, Observation
from python_ml.monitoring.alerts.kinds import KINDS
from python_ml.monitoring.alerts.rules import AlertRule
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)


def collect(
    warehouse: Warehouse,
    rules: dict[str, AlertRule],
    *,
    now: datetime.datetime,
    kinds: Sequence[AlertKind] = KINDS,
) -> tuple[list[Observation], dict[str, str]]:
    """Ask the warehouse, one statement a kind.

    Returns
    -------
    observed : list of Observation
    unjudged : dict of str to str
        Kinds without an answer, with the reason: a view that is not built
        yet, or a build that is broken, hides no other kind.
    """
    observed: list[Observation] = []
    unjudged: dict[str, str] = {}
    for kind in kinds:
        rule = rules.get(kind.name)
        if rule is None:
            unjudged[kind.name] = "it has no row in the seed alert_rules"
            continue
        try:
            observed += _observe(warehouse, kind, rule, now)
        except Exception as error:
            # The driver repeats the whole query behind its first line.
            reason = str(error).partition("\nLINE ")[0]
            unjudged[kind.name] = " ".join(reason.split())[:200]
            log_event(
                logger,
                "alert_kind_not_judged",
                kind=kind.name,
                reason=unjudged[kind.name],
            )
    return observed, unjudged


def _observe(
    warehouse: Warehouse,
    kind: AlertKind,
    rule: AlertRule,
    now: datetime.datetime,
) -> list[Observation]:
    rows = read_frame(
        warehouse,
        kind.query,
        {
            "now": now,
            "threshold": _plain(rule.threshold),
            "schema_prefix": warehouse.settings.schema_prefix,
        },
    )
    observed = []
    for row in rows.to_dict("records"):
        words = kind.describe({str(name): value for name, value in row.items()})
        observed.append(
            Observation(
                kind.name,
                str(row["subject"]),
                str(row["alert_group"]),
                rule.severity,
                words.message,
                words.advice,
                str(row["cause"]),
                None if pd.isna(row["symbol_id"]) else int(row["symbol_id"]),
            )
        )
    return observed


def _plain(threshold: float | None) -> float | int | None:
    """A whole number as one, as `make_interval` wants it."""
    if threshold is not None and threshold == int(threshold):
        return int(threshold)
    return threshold
