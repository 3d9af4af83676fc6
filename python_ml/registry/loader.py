"""Trained ensembles for other programs: the version that is live, and others.

>>> import python_ml
>>> ensemble = python_ml.load_ensemble("AAPL", "d1")  # doctest: +SKIP
>>> ensemble.horizons["5d"].predict_proba(X)  # doctest: +SKIP
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from python_ml.ensemble import Ensemble
from python_ml.examples.catalog import read_feature_names
from python_ml.exceptions import NoEnsembleError, SettingsError
from python_ml.registry.artifacts import TRAIN_COMMAND
from python_ml.registry.deployments import live_versions
from python_ml.registry.versions import (
    Version,
    check_classes,
    load_version,
    read_versions,
)
from python_ml.settings import load_settings
from python_ml.warehouse.connection import Warehouse, open_warehouse


@dataclass(frozen=True)
class EnsembleInfo:
    """What is live for one series.

    Parameters
    ----------
    ticker, timeframe : str
        The series.
    versions : mapping of str to str
        Live version by horizon.
    as_of : datetime
        Newest knowledge among them, UTC.
    """

    ticker: str
    timeframe: str
    versions: Mapping[str, str]
    as_of: datetime


def load_ensemble(
    ticker: str,
    timeframe: str,
    *,
    version_id: str | None = None,
    at: datetime | None = None,
    warehouse: Warehouse | None = None,
) -> Ensemble:
    """Read the ensemble of a series that is live, checked before it is read.

    Parameters
    ----------
    ticker, timeframe : str
        The series, for example `AAPL`, `d1`.
    version_id : str, optional
        A version of the series instead of the one that is live.
    at : datetime, optional
        With time zone: the one live then, by default now.
    warehouse : Warehouse, optional
        By default that of the environment, opened and closed again.

    Returns
    -------
    Ensemble
        `horizons[name].predict_proba(X)` takes rows of shape
        (n_samples, n_features) with columns in the order of `feature_names`
        and returns probabilities of shape (n_samples, 3) in the order of
        `python_ml.ensemble.CLASSES`. Where horizons are served by different
        versions each comes from its own; `metadata["versions"]` names them by
        horizon, and `version_id` is that of the shortest.

    Raises
    ------
    NoEnsembleError
        If nothing is live for the series at that time, or it has no such
        version; names the training command.
    ArtifactError
        If an artifact is missing, altered, pruned or outside its folder, or
        was written with another major version of a library or other classes.
    FeatureMismatchError
        If features are missing, new or in another order.

    Examples
    --------
    >>> ensemble = load_ensemble("AAPL", "d1")  # doctest: +SKIP
    >>> ensemble.horizons["5d"].predict_proba(X)  # doctest: +SKIP
    array([[0.31, 0.36, 0.33]])
    """
    if at is not None and at.tzinfo is None:
        raise SettingsError(f"at {at} has no time zone.")
    if at is not None and version_id is not None:
        raise SettingsError("Give either version_id or at, not both.")
    with _opened(warehouse) as opened:
        if version_id is not None:
            chosen = _horizons_of(opened, ticker, timeframe, version_id)
        else:
            chosen = _live_horizons(opened, ticker, timeframe, at)
        versions = read_versions(opened, list(dict.fromkeys(chosen.values())))
        feature_names = read_feature_names(opened)
        loaded = {
            name: _load(opened, version, feature_names)
            for name, version in versions.items()
        }
    first = loaded[next(iter(chosen.values()))]
    return replace(
        first,
        as_of=max(ensemble.as_of for ensemble in loaded.values()),
        horizons={
            horizon: loaded[name].horizons[horizon]
            for horizon, name in chosen.items()
        },
        metadata={**first.metadata, "versions": chosen},
    )


def list_ensembles(
    *, at: datetime | None = None, warehouse: Warehouse | None = None
) -> list[EnsembleInfo]:
    """What is live, series by series.

    Parameters
    ----------
    at : datetime, optional
        With time zone, by default now.
    warehouse : Warehouse, optional
        By default that of the environment, opened and closed again.

    Returns
    -------
    list of EnsembleInfo
        By ticker and timeframe; empty while nothing is deployed.

    Examples
    --------
    >>> [info.ticker for info in list_ensembles()]  # doctest: +SKIP
    ['AAPL', 'GOOG', 'IBM', 'MSFT']
    """
    if at is not None and at.tzinfo is None:
        raise SettingsError(f"at {at} has no time zone.")
    with _opened(warehouse) as opened:
        live = live_versions(opened, at=at)
    return [
        EnsembleInfo(
            ticker=str(ticker),
            timeframe=str(timeframe),
            versions=dict(
                zip(rows["horizon"], rows["version_id"], strict=True)
            ),
            as_of=rows["as_of"].max().to_pydatetime(),
        )
        for (ticker, timeframe), rows in live.groupby(
            ["ticker", "timeframe"], sort=False
        )
    ]


@contextlib.contextmanager
def _opened(warehouse: Warehouse | None) -> Iterator[Warehouse]:
    if warehouse is not None:
        yield warehouse
        return
    with open_warehouse(load_settings()) as opened:
        yield opened


def _live_horizons(
    warehouse: Warehouse, ticker: str, timeframe: str, at: datetime | None
) -> dict[str, str]:
    live = live_versions(warehouse, at=at)
    live = live[(live["ticker"] == ticker) & (live["timeframe"] == timeframe)]
    if live.empty:
        when = "now" if at is None else f"at {at.astimezone(UTC):%Y-%m-%d}"
        raise NoEnsembleError(
            f"No trained ensemble is live {when} for {ticker} {timeframe}. "
            f"Train it: {_train_command(ticker, timeframe)}"
        )
    return dict(zip(live["horizon"], live["version_id"], strict=True))


def _horizons_of(
    warehouse: Warehouse, ticker: str, timeframe: str, version_id: str
) -> dict[str, str]:
    version = read_versions(warehouse, [version_id]).get(version_id)
    if version is None or (version.ticker, version.timeframe) != (
        ticker,
        timeframe,
    ):
        raise NoEnsembleError(
            f"{ticker} {timeframe} has no version {version_id!r}. See those "
            f"there are with: swiftbolt models list --symbols {ticker}; or "
            f"train one: {_train_command(ticker, timeframe)}"
        )
    return dict.fromkeys(version.horizons, version_id)


def _load(
    warehouse: Warehouse, version: Version, feature_names: tuple[str, ...]
) -> Ensemble:
    check_classes(version)
    ensemble = load_version(warehouse.settings, version)
    ensemble.check_features(feature_names)
    return ensemble


def _train_command(ticker: str, timeframe: str) -> str:
    return TRAIN_COMMAND.format(ticker=ticker, timeframe=timeframe)
