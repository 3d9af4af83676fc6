"""What tells one training from another: SHA-256 of all that decides it."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from python_ml.ensemble import CLASSES
from python_ml.members import Roster, roster_settings
from python_ml.registry.artifacts import library_versions
from python_ml.scoring.time_order import VALIDATION_PARTS
from python_ml.scoring.weights import WeightSettings
from python_ml.warehouse.backtest_run import BacktestRun


def fingerprint_of_settings(
    feature_names: Sequence[str],
    tickers: Sequence[str],
    *,
    roster: Roster,
    weighting: WeightSettings,
    pooled_fingerprints: Mapping[str, str],
    backtest: BacktestRun | None = None,
) -> str:
    """SHA-256 of all that decides a version beside its rows and its cut.

    Series trained together count, since weights are pulled towards theirs, and
    what pooled members learnt from. A backtest's versions are its own: none of
    them is ever taken for one that may go live.
    """
    run = {} if backtest is None else {"backtest": backtest.name}
    return _digest(
        {
            **run,
            **_recipe(feature_names),
            "prior_weights": roster.prior_weights,
            "pooled": dict(pooled_fingerprints),
            "weights": weighting.identity(),
            "validation_parts": VALIDATION_PARTS,
            "classes": CLASSES,
            "trained_together": sorted(tickers),
        }
    )


def fingerprint_of_pooled_settings(feature_names: Sequence[str]) -> str:
    """SHA-256 of all that decides a pooled member beside its rows."""
    return _digest(_recipe(feature_names))


def replacing(fingerprint: str, name: str) -> str:
    """Fingerprint of what replaces a version whose artifact was lost.

    What was lost or altered cannot be written again, so it becomes part of
    the identity of its successor.
    """
    return hashlib.sha256(f"{fingerprint} replaces {name}".encode()).hexdigest()


def _recipe(feature_names: Sequence[str]) -> dict[str, object]:
    return {
        **roster_settings(),
        "feature_names": list(feature_names),
        "libraries": {
            name: version.split(".")[0]
            for name, version in library_versions().items()
        },
    }


def _digest(settings: Mapping[str, object]) -> str:
    return hashlib.sha256(
        json.dumps(settings, sort_keys=True).encode()
    ).hexdigest()
