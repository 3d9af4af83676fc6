"""A seeded market of two symbols, built by dbt, with versions to forecast it.

Bars are random walks on a calendar of all weekdays; the grid goes on after
the last bar, so that targets are known. Versions are real artifacts whose
members are scikit-learn's own.
"""

import datetime
from collections.abc import Sequence

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from python_ml import schema
from python_ml.ensemble import CLASSES, Ensemble, HorizonEnsemble
from python_ml.examples.catalog import read_feature_names
from python_ml.registry.artifacts import save_ensemble
from python_ml.warehouse.bulk import insert_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt

TICKERS = ("AAA", "BBB")
FIRST_SESSION = "2019-01-01"
N_BARS = 420
N_SESSIONS = 620
HORIZONS = {
    "d1": {"1d": 1, "5d": 5, "20d": 20},
    "w1": {"20d": 4, "60d": 12, "120d": 24},
}
# What validation hit, by horizon: the baseline of drift.
VALIDATION_ACCURACY = {"1d": 0.4, "5d": 0.45, "20d": 0.5}
UTC = datetime.UTC


def sessions() -> pd.DataFrame:
    """All sessions of the grid, in order."""
    days = pd.bdate_range(FIRST_SESSION, periods=N_SESSIONS)
    return pd.DataFrame(
        {
            "calendar": "XNYS",
            "session_date": days,
            "opened_at": (days + pd.Timedelta("14:30:00")).tz_localize("UTC"),
            "closed_at": (days + pd.Timedelta("21:00:00")).tz_localize("UTC"),
        }
    )


def close_of(session: int) -> pd.Timestamp:
    """Close of a session by its number, 0 the first, negative from the last
    one with bars."""
    number = session if session >= 0 else N_BARS + session
    return pd.Timestamp(sessions()["closed_at"].iloc[number])


def load_bars(
    warehouse: Warehouse, *, first: int = 0, last: int = N_BARS
) -> None:
    """Write sessions and the bars numbered `first` to `last` (exclusive)."""
    grid = sessions()
    with warehouse.begin() as connection:
        insert_frame(connection, schema.sessions, grid, skip_existing=True)
        insert_frame(
            connection,
            schema.symbols,
            pd.DataFrame(
                {
                    "ticker": TICKERS,
                    "calendar": "XNYS",
                    "listed_from": grid["session_date"].iloc[0],
                    "source": "test",
                }
            ),
            skip_existing=True,
        )
        batch_id = add_batch(connection, n_bars=len(TICKERS) * (last - first))
        for ticker, symbol_id in symbol_ids(connection).items():
            bars = _random_walk(
                grid.iloc[:N_BARS], seed=len(ticker) + symbol_id
            )
            insert_frame(
                connection,
                schema.bars,
                bars.iloc[first:last].assign(
                    symbol_id=symbol_id, batch_id=batch_id
                ),
            )


def add_batch(connection: sa.Connection, *, n_bars: int) -> int:
    """Begin a load of bars; its key."""
    batch_id: int = connection.execute(
        schema.ingest_batches.insert()
        .values(
            source="test",
            ingested_at=datetime.datetime.now(UTC),
            n_bars=n_bars,
            n_adjustments=0,
            n_rejected=0,
        )
        .returning(schema.ingest_batches.c.batch_id)
    ).scalar_one()
    return batch_id


def symbol_ids(connection: sa.Connection) -> dict[str, int]:
    """Key of each symbol by its ticker."""
    rows = connection.execute(
        sa.select(schema.symbols.c.ticker, schema.symbols.c.symbol_id)
    )
    return {ticker: symbol_id for ticker, symbol_id in rows}


def _random_walk(grid: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    n = len(grid)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.015, n)))
    open_ = close * np.exp(random.normal(0, 0.004, n))
    return pd.DataFrame(
        {
            "timeframe": "d1",
            "opened_at": grid["opened_at"].to_numpy(),
            "closed_at": grid["closed_at"].to_numpy(),
            "open": open_,
            "high": np.maximum(open_, close)
            * np.exp(np.abs(random.normal(0, 0.004, n))),
            "low": np.minimum(open_, close)
            * np.exp(-np.abs(random.normal(0, 0.004, n))),
            "close": close,
            "volume": np.round(random.lognormal(13, 0.4, n)),
            "recorded_at": grid["closed_at"].to_numpy(),
            "is_backfill": True,
            "ingested_at": pd.Timestamp.now("UTC"),
            "source": "test",
        }
    )


def build(warehouse: Warehouse) -> None:
    """Build every dbt model, without tests."""
    run_dbt(
        warehouse, ["build", "--exclude-resource-type", "unit_test", "test"]
    )


def make_ensemble(
    warehouse: Warehouse,
    *,
    ticker: str,
    timeframe: str = "d1",
    as_of: pd.Timestamp,
    version_id: str | None = None,
    horizons: Sequence[str] | None = None,
    seed: int = 0,
) -> Ensemble:
    """An ensemble of two members fitted on noise."""
    random = np.random.default_rng(seed)
    names = read_feature_names(warehouse)
    with warehouse.begin() as connection:
        symbol_id = symbol_ids(connection)[ticker]
    fitted = {}
    for horizon in horizons or HORIZONS[timeframe]:
        X = random.normal(size=(90, len(names)))
        y = random.integers(0, 3, size=90)
        fitted[horizon] = HorizonEnsemble(
            horizon=horizon,
            horizon_bars=HORIZONS[timeframe][horizon],
            members={
                "climatology": DummyClassifier(strategy="prior").fit(X, y),
                "logistic": LogisticRegression(max_iter=500).fit(X, y),
            },
            weights={"climatology": 0.25, "logistic": 0.75},
            climatology=np.array([0.3, 0.4, 0.3]),
            baseline_accuracy=0.4,
        )
    return Ensemble(
        version_id=version_id or f"{ticker}_{timeframe}_{as_of:%Y%m%dT%H%M%SZ}",
        symbol_id=symbol_id,
        ticker=ticker,
        timeframe=timeframe,
        as_of=as_of.to_pydatetime(),
        feature_names=names,
        horizons=fitted,
    )


def record_version(warehouse: Warehouse, ensemble: Ensemble) -> None:
    """Save the artifact and write the rows that training would."""
    settings = warehouse.settings
    path, sha256 = save_ensemble(ensemble, settings.artifacts_dir)
    grid = sessions()["closed_at"]
    with warehouse.begin() as connection:
        cut_id = connection.execute(
            schema.training_cuts.insert()
            .values(
                calendar="XNYS",
                timeframe=ensemble.timeframe,
                as_of=ensemble.as_of,
                split="70/30",
                embargo_bars=1,
                window_bars=100,
                window_starts_at=grid.iloc[0],
                fit_labels_end_before=grid.iloc[1],
                validation_starts_at=grid.iloc[1],
                scope=ensemble.version_id,
            )
            .returning(schema.training_cuts.c.cut_id)
        ).scalar_one()
        connection.execute(
            schema.ensembles.insert().values(
                version_id=ensemble.version_id,
                symbol_id=ensemble.symbol_id,
                timeframe=ensemble.timeframe,
                as_of=ensemble.as_of,
                cut_id=cut_id,
                artifact_path=str(path.relative_to(settings.home)),
                sha256=sha256,
                horizons=list(ensemble.horizons),
                feature_names=list(ensemble.feature_names),
                classes=list(CLASSES),
                data_fingerprint="test",
                settings_fingerprint="test",
                code_version="test",
                library_versions={},
            )
        )
        connection.execute(
            schema.training_runs.insert(),
            [
                {
                    "symbol_id": ensemble.symbol_id,
                    "timeframe": ensemble.timeframe,
                    "horizon": horizon,
                    "run_date": ensemble.as_of.date(),
                    "as_of": ensemble.as_of,
                    "trigger": "manual",
                    "version_id": ensemble.version_id,
                    "status": "succeeded",
                    "ensemble_validation_accuracy": VALIDATION_ACCURACY.get(
                        horizon, 0.55
                    ),
                    "code_version": "test",
                }
                for horizon in ensemble.horizons
            ],
        )


def deploy(
    warehouse: Warehouse,
    ensemble: Ensemble,
    *,
    effective_at: pd.Timestamp | None = None,
    horizons: Sequence[str] | None = None,
) -> Ensemble:
    """Record a version and deploy it, by default from its own as-of on."""
    record_version(warehouse, ensemble)
    redeploy(warehouse, ensemble, effective_at=effective_at, horizons=horizons)
    return ensemble


def redeploy(
    warehouse: Warehouse,
    ensemble: Ensemble,
    *,
    effective_at: pd.Timestamp | None = None,
    horizons: Sequence[str] | None = None,
) -> None:
    """Write a deployment of a version on record, by default whole."""
    with warehouse.begin() as connection:
        connection.execute(
            schema.deployments.insert().values(
                symbol_id=ensemble.symbol_id,
                timeframe=ensemble.timeframe,
                version_id=ensemble.version_id,
                horizons=list(horizons or ensemble.horizons),
                effective_at=effective_at or ensemble.as_of,
                reason="test",
            )
        )
