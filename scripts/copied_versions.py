"""Versions of a few symbols under the names of all others.

Training a market takes most of an hour. What a benchmark then times cannot tell
a copy from what was trained: each is an artifact of its own, with a checksum,
rows and a deployment.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import joblib
import sqlalchemy as sa
from benchmarking import MEMORY_SAMPLE_SECONDS, N_CORES, run_python, say

from python_ml import schema
from python_ml.registry.artifacts import save_ensemble
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.ledgers import rewriting

# What the database writes itself.
OWN_COLUMNS = ("written_at", "deployment_id", "training_run_id")
TABLES = (
    schema.ensembles,
    schema.ensemble_weights,
    schema.training_runs,
    schema.deployments,
)


N_TRAINED = 5


def train_all(
    warehouse: Warehouse,
    *,
    is_quick: bool,
    sample_seconds: float = MEMORY_SAMPLE_SECONDS,
) -> None:
    """Train every series, or a few symbols and copy what they have learnt."""
    say("training")
    command = ["-m", "python_ml.cli", "train", "--promote=always"]
    with warehouse.begin() as connection:
        tickers = connection.scalars(
            sa.select(schema.symbols.c.ticker).order_by("symbol_id")
        ).all()
    chosen = (
        f"--symbols={','.join(tickers[:N_TRAINED])}" if is_quick else "--all"
    )
    run_python(
        warehouse,
        [*command, chosen, f"--jobs={N_CORES}"],
        sample_seconds=sample_seconds,
    )
    if is_quick:
        say(f"copied {copy_versions(warehouse)} versions")


def copy_versions(warehouse: Warehouse) -> int:
    """Give every symbol without a version copies of those of another.

    Returns
    -------
    int
        Versions written.
    """
    with warehouse.begin() as connection:
        symbols = connection.execute(
            sa.select(schema.symbols.c["symbol_id", "ticker"])
        ).all()
        rows = {
            table.name: [
                dict(row)
                for row in connection.execute(sa.select(table)).mappings()
            ]
            for table in TABLES
        }
    trained = sorted({row["symbol_id"] for row in rows["ensembles"]})
    others = [row for row in symbols if row.symbol_id not in trained]
    copies: dict[str, list[dict[str, Any]]] = {name: [] for name in rows}
    for (symbol_id, ticker), first in zip(
        others, itertools.cycle(trained), strict=False
    ):
        for name, found in _copy_symbol(
            warehouse,
            rows,
            first=first,
            symbol_id=int(symbol_id),
            ticker=str(ticker),
        ).items():
            copies[name] += found
    with rewriting(warehouse) as connection:
        for table in TABLES:
            connection.execute(table.insert(), copies[table.name])
    return len(copies["ensembles"])


def _copy_symbol(
    warehouse: Warehouse,
    rows: Mapping[str, list[dict[str, Any]]],
    *,
    first: int,
    symbol_id: int,
    ticker: str,
) -> dict[str, list[dict[str, Any]]]:
    """Write the artifacts of one symbol and return its rows by table."""
    settings = warehouse.settings
    changes: dict[str, dict[str, Any]] = {}
    for row in rows["ensembles"]:
        if row["symbol_id"] != first:
            continue
        ensemble = joblib.load(settings.home / row["artifact_path"])
        copy = replace(
            ensemble,
            version_id=f"{ticker}_{ensemble.version_id.partition('_')[2]}",
            symbol_id=symbol_id,
            ticker=ticker,
        )
        path, sha256 = save_ensemble(copy, settings.artifacts_dir)
        changes[row["version_id"]] = {
            "version_id": copy.version_id,
            "symbol_id": symbol_id,
            "artifact_path": str(path.relative_to(settings.home)),
            "sha256": sha256,
        }
    return {
        name: [
            {
                column: changes[row["version_id"]].get(column, value)
                for column, value in row.items()
                if column not in OWN_COLUMNS
            }
            for row in found
            if row["version_id"] in changes
        ]
        for name, found in rows.items()
    }
