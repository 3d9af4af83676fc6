import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
import sqlalchemy as sa

import python_ml
from python_ml.exceptions import (
    ArtifactError,
    FeatureMismatchError,
    NoEnsembleError,
    SettingsError,
)
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.ledgers import rewriting
from tests.conftest import warehouse_environment
from tests.forecast_market import close_of, deploy, make_ensemble


@pytest.fixture
def market(market_warehouse, monkeypatch):
    for name, value in warehouse_environment(market_warehouse).items():
        monkeypatch.setenv(name, value)
    return market_warehouse


def version(warehouse, session, **keywords):
    return make_ensemble(
        warehouse, ticker="AAA", as_of=close_of(session), **keywords
    )


def test_a_program_loads_what_is_live(market):
    deploy(market, version(market, -9, seed=1))
    new = deploy(market, version(market, -5, seed=2))
    ensemble = python_ml.load_ensemble("AAA", "d1")
    assert ensemble.version_id == new.version_id
    X = read_frame(
        market,
        f"select {', '.join(ensemble.feature_names)} "
        "from {features}.scoring_examples where ticker = 'AAA' "
        "and timeframe = 'd1' and horizon = '5d' "
        "order by bar_number desc limit 3",
    ).to_numpy()
    np.testing.assert_array_equal(
        ensemble.horizons["5d"].predict_proba(X),
        new.horizons["5d"].predict_proba(X),
    )
    [info] = python_ml.list_ensembles()
    assert (info.ticker, info.timeframe) == ("AAA", "d1")
    assert info.versions == dict.fromkeys(("1d", "5d", "20d"), new.version_id)


def test_a_program_loads_what_was_live_or_a_version_by_name(market):
    old = deploy(market, version(market, -9, seed=1))
    new = deploy(market, version(market, -5, seed=2), horizons=["5d"])
    then = close_of(-6).to_pydatetime()
    assert python_ml.load_ensemble("AAA", "d1", at=then).version_id == (
        old.version_id
    )
    mixed = python_ml.load_ensemble("AAA", "d1", warehouse=market)
    assert mixed.metadata["versions"] == {
        "1d": old.version_id,
        "5d": new.version_id,
        "20d": old.version_id,
    }
    assert list(mixed.horizons) == ["1d", "5d", "20d"]
    by_name = python_ml.load_ensemble(
        "AAA", "d1", version_id=new.version_id, warehouse=market
    )
    assert set(by_name.metadata["versions"].values()) == {new.version_id}


def test_without_an_ensemble_the_training_command_is_named(market):
    command = "swiftbolt train --symbols AAA --timeframes d1"
    with pytest.raises(NoEnsembleError, match=f"live now .* {command}"):
        python_ml.load_ensemble("AAA", "d1")
    assert python_ml.list_ensembles() == []
    deploy(market, version(market, -5))
    before = datetime(2019, 1, 1, tzinfo=UTC)
    with pytest.raises(NoEnsembleError, match="live at 2019-01-01"):
        python_ml.load_ensemble("AAA", "d1", at=before)
    with pytest.raises(NoEnsembleError, match="BBB d1 has no version"):
        python_ml.load_ensemble("BBB", "d1", version_id="AAA_d1")
    with pytest.raises(SettingsError, match="no time zone"):
        python_ml.load_ensemble("AAA", "d1", at=datetime(2019, 1, 1))


@pytest.mark.parametrize(
    ("statement", "error", "says"),
    [
        (
            "update ml.ensembles set classes = '[\"UP\"]'",
            ArtifactError,
            "predicts UP",
        ),
        (
            'update ml.ensembles set library_versions = \'{"numpy": "1.9"}\'',
            ArtifactError,
            "trained with numpy 1.9",
        ),
        (
            "update features.feature_catalog set sort_order = - sort_order",
            FeatureMismatchError,
            "the order differs",
        ),
        (
            "update ml.ensembles set sha256 = 'other'",
            ArtifactError,
            "was altered",
        ),
    ],
)
def test_what_no_longer_fits_is_refused_with_the_reason(
    market, statement, error, says
):
    deploy(market, version(market, -5))
    with rewriting(market) as connection:
        connection.execute(sa.text(statement))
    with pytest.raises(error, match=says) as raised:
        python_ml.load_ensemble("AAA", "d1", warehouse=market)
    assert "swiftbolt train --symbols AAA" in str(raised.value)


def test_importing_the_package_imports_nothing_slow():
    script = (
        "import sys, python_ml; "
        "heavy = {'numpy', 'pandas', 'sqlalchemy', 'sklearn'}; "
        "sys.exit(str(heavy & set(sys.modules) or ''))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.stderr.strip() == ""
    with pytest.raises(AttributeError, match="no attribute 'loud_ensemble'"):
        _ = python_ml.loud_ensemble
