"""Checks of what the warehouse holds: seeds, bars, series, versions."""

import datetime
from collections.abc import Iterator

import pandas as pd

from python_ml.console.text_tables import some_names
from python_ml.exceptions import SchemaError
from python_ml.monitoring.alerts.kinds import KINDS
from python_ml.monitoring.alerts.observing import collect
from python_ml.monitoring.alerts.rules import read_rules
from python_ml.monitoring.health import REMEDIES, read_health
from python_ml.operations.doctor.finding import NOTICE, PROBLEM, Finding
from python_ml.registry.artifacts import is_intact
from python_ml.registry.deployments import live_versions, narrow_to_built
from python_ml.registry.versions import artifact_file, read_versions
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import SCHEMAS, Warehouse
from python_ml.warehouse.seeds import read_seed

SEED_TABLES_QUERY = """
    select table_schema, table_name
    from information_schema.tables
    where
        table_name = any(:names)
        and table_schema = any(:schemas)
"""
# What passes by itself is no work for anyone.
PASSING = ("not_forecast", "unusable", "behind")


def check_seeds(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether the warehouse was built with the seeds as they are now."""
    settings = warehouse.settings
    folder = settings.dbt_project_dir / "seeds"
    seeds = sorted(path.stem for path in folder.glob("*.csv"))
    tables = read_frame(
        warehouse,
        SEED_TABLES_QUERY,
        {
            "names": seeds,
            "schemas": [settings.schema(name) for name in SCHEMAS],
        },
    )
    places = dict(
        zip(tables["table_name"], tables["table_schema"], strict=True)
    )
    changed = [
        name
        for name in seeds
        if name not in places
        or not is_same_seed(
            read_seed(settings, name),
            read_frame(warehouse, f'select * from "{places[name]}"."{name}"'),
        )
    ]
    if changed:
        yield Finding(
            "seeds",
            PROBLEM,
            "The warehouse was built with other seeds than these files: "
            f"{some_names(changed)}",
            "swiftbolt build",
        )


def is_same_seed(file: pd.DataFrame, table: pd.DataFrame) -> bool:
    """Whether two frames hold the same rows, whatever their types and order.

    Examples
    --------
    >>> file = pd.DataFrame({"kind": ["a", "b"], "share": [0.8, None]})
    >>> is_same_seed(file, file.astype(object).iloc[::-1])
    True
    >>> is_same_seed(file, file.fillna(0.1))
    False
    """
    if list(file.columns) != list(table.columns):
        return False
    return _rows_as_text(file) == _rows_as_text(table)


def _rows_as_text(frame: pd.DataFrame) -> list[tuple[str, ...]]:
    return sorted(
        tuple(_as_text(value) for value in row)
        for row in frame.astype(object).itertuples(index=False)
    )


def _as_text(value: object) -> str:
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return ""
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return f"{float(str(value)):.12g}"
    except ValueError:
        return (
            str(value).lower()
            if str(value) in ("True", "False")
            else str(value)
        )


def check_alert_kinds(
    warehouse: Warehouse, check: str, kinds: tuple[str, ...]
) -> Iterator[Finding]:
    """What alerts of some kinds would say now."""
    now = datetime.datetime.now(datetime.UTC)
    observed, unjudged = collect(
        warehouse,
        read_rules(warehouse.settings),
        now=now,
        kinds=[kind for kind in KINDS if kind.name in kinds],
    )
    if unjudged:
        raise SchemaError("; ".join(unjudged.values()))
    for one in observed:
        severity = PROBLEM if one.severity == "critical" else NOTICE
        yield Finding(check, severity, one.message, one.advice)


def check_series(warehouse: Warehouse) -> Iterator[Finding]:
    """Which series are not forecast, by what keeps them."""
    missing = read_health(warehouse).missing
    for status, rows in missing.groupby("status"):
        tickers = rows["ticker"] + " " + rows["timeframe"]
        yield Finding(
            "series",
            NOTICE if status in PASSING else PROBLEM,
            f"{len(rows)} series are {str(status).replace('_', ' ')}: "
            f"{some_names(tickers.tolist())}",
            REMEDIES.get(str(status), "swiftbolt forecast says why"),
        )


def check_artifacts(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether the artifacts of what is live are those on record."""
    versions = read_versions(warehouse)
    live = sorted(set(live_versions(warehouse)["version_id"]))
    judged: dict[str, bool] = {}
    damaged = []
    for version_id in live:
        for artifact in versions[version_id].artifacts:
            path = artifact.artifact_path
            if path not in judged:
                judged[path] = is_intact(
                    artifact_file(warehouse.settings, artifact),
                    sha256=artifact.sha256,
                    folder=warehouse.settings.artifacts_dir,
                )
            if not judged[path]:
                damaged.append(version_id)
    if damaged:
        yield Finding(
            "artifacts",
            PROBLEM,
            "The artifacts of versions that are live are missing or altered: "
            f"{some_names(sorted(set(damaged)))}",
            "go back to the version before with swiftbolt models rollback "
            "--symbols ..., restore them from a backup, or train again: "
            "swiftbolt train --all",
        )


def check_expiry(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether what is live is so old that its forecasts are withheld."""
    rules = read_seed(warehouse.settings, "trust_rules").set_index("reason")
    days = rules["threshold"].get("version_expired")
    live = narrow_to_built(warehouse, live_versions(warehouse))
    if days is None or live.empty:
        return
    age = pd.Timestamp.now("UTC") - live["as_of"]
    expired = live[age > pd.Timedelta(days=float(days))]
    series = expired["ticker"] + " " + expired["timeframe"]
    if len(expired):
        yield Finding(
            "expiry",
            PROBLEM,
            f"Versions older than {days:g} days are live, so that their "
            f"forecasts are withheld: {some_names(sorted(set(series)))}",
            "scripts/monthly_retrain --force",
        )
