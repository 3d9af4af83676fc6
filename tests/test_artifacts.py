import errno
import hashlib
import json
import os
import pickle
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from python_ml.ensemble import Ensemble, HorizonEnsemble
from python_ml.exceptions import ArtifactError, UnknownVersionError
from python_ml.members import ROSTER, make_member
from python_ml.registry.artifacts import (
    check_library_versions,
    is_intact,
    library_versions,
    load_artifact,
    save_ensemble,
)
from python_ml.registry.claims import (
    claim_owner,
    claim_version_id,
    release_claim,
    slug,
    sweep_claims,
)
from python_ml.registry.versions import load_ensemble
from python_ml.settings import load_settings

NOW = datetime(2025, 1, 21, 15, 30, tzinfo=UTC)
OWNER = "0a1b2c3d"
EARLIER = Path(__file__).parent / "data" / "artifacts"


def make_ensemble(version_id="AAPL_d1_20250121T153000Z"):
    shares = np.full(3, 1 / 3)
    random = np.random.default_rng(0)
    X, y = random.normal(size=(150, 2)), random.integers(0, 3, 150)
    member = make_member("random_forest", horizon_bars=1, prior_shares=shares)
    return Ensemble(
        version_id=version_id,
        symbol_id=1,
        ticker="AAPL",
        timeframe="d1",
        as_of=NOW,
        feature_names=("a", "b"),
        horizons={
            "1d": HorizonEnsemble(
                horizon="1d",
                horizon_bars=1,
                members={"random_forest": member.fit(X, y)},
                weights={"random_forest": 1.0},
                climatology=shares,
                baseline_accuracy=0.4,
            )
        },
    )


def claim(folder, **keywords):
    return claim_version_id(
        folder,
        **{
            "ticker": "AAPL",
            "timeframe": "d1",
            "created_at": NOW,
            "owner": OWNER,
            **keywords,
        },
    )


def test_a_saved_ensemble_forecasts_the_same_when_loaded(tmp_path):
    before = make_ensemble()
    path, sha256 = save_ensemble(before, tmp_path)
    assert path == tmp_path / "AAPL_d1_20250121T153000Z.joblib"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    after = load_artifact(path, sha256=sha256, folder=tmp_path)
    X = np.random.default_rng(1).normal(size=(5, 2))
    np.testing.assert_array_equal(
        before.horizons["1d"].predict_proba(X),
        after.horizons["1d"].predict_proba(X),
    )
    assert after.feature_names == before.feature_names
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


class Explosive:
    """Unpickling it leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (os.mkdir, (str(self.trace),))


def test_one_altered_byte_is_refused(tmp_path):
    path, sha256 = save_ensemble(make_ensemble(), tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not is_intact(path, sha256=sha256, folder=tmp_path)
    with pytest.raises(ArtifactError, match="altered and was not read") as it:
        load_artifact(path, sha256=sha256, folder=tmp_path)
    assert "swiftbolt train" in str(it.value)


def test_a_foreign_pickle_is_refused_before_it_can_run(tmp_path):
    path, sha256 = save_ensemble(make_ensemble(), tmp_path)
    trace = tmp_path / "it ran"
    path.write_bytes(pickle.dumps(Explosive(trace)))
    with pytest.raises(ArtifactError, match="altered"):
        load_artifact(path, sha256=sha256, folder=tmp_path)
    assert not trace.exists()
    # The trap works: it would have run.
    pickle.loads(path.read_bytes())
    assert trace.exists()


@pytest.mark.parametrize("way_out", ["dots", "link", "absolute"])
def test_a_path_out_of_the_folder_is_refused_before_it_can_run(
    tmp_path, way_out
):
    folder = tmp_path / "trained_ensembles"
    folder.mkdir()
    trace = tmp_path / "it ran"
    outside = tmp_path / "outside.joblib"
    outside.write_bytes(pickle.dumps(Explosive(trace)))
    path = {
        "dots": folder / ".." / outside.name,
        "link": folder / "inside.joblib",
        "absolute": folder / str(outside),
    }[way_out]
    if way_out == "link":
        path.symlink_to(outside)
    sha256 = hashlib.sha256(outside.read_bytes()).hexdigest()
    with pytest.raises(ArtifactError, match="outside the artifacts folder"):
        load_artifact(path, sha256=sha256, folder=folder)
    assert not trace.exists()


def test_a_folder_that_is_itself_a_link_is_fine(tmp_path):
    real = tmp_path / "disk"
    real.mkdir()
    folder = tmp_path / "trained_ensembles"
    folder.symlink_to(real)
    path, sha256 = save_ensemble(make_ensemble(), folder)
    assert load_artifact(path, sha256=sha256, folder=folder)


def test_a_missing_artifact_names_the_command(tmp_path):
    with pytest.raises(ArtifactError, match=r"missing.*train --symbols AAPL"):
        load_artifact(
            tmp_path / "gone.joblib",
            sha256="0",
            folder=tmp_path,
            train_command="swiftbolt train --symbols AAPL",
        )


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    path = tmp_path / "list.joblib"
    path.write_bytes(pickle.dumps([1, 2]))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ArtifactError, match="holds a list, not an ensemble"):
        load_artifact(path, sha256=sha256, folder=tmp_path)


def test_versions_are_never_overwritten(tmp_path):
    save_ensemble(make_ensemble(), tmp_path)
    with pytest.raises(ArtifactError, match="never overwritten"):
        save_ensemble(make_ensemble(), tmp_path)


@pytest.mark.parametrize("version_id", ["../AAPL", "a/b"])
def test_a_version_id_cannot_lead_out_of_the_folder(tmp_path, version_id):
    folder = tmp_path / "trained_ensembles"
    with pytest.raises(ArtifactError):
        save_ensemble(make_ensemble(version_id), folder)
    assert list(folder.iterdir()) == []


def test_a_full_disk_leaves_no_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match="No space left on device"):
        save_ensemble(make_ensemble(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_say_series_and_time_and_never_collide(tmp_path):
    assert claim(tmp_path) == "AAPL_d1_20250121T153000Z"
    assert claim(tmp_path) == "AAPL_d1_20250121T153000Z-2"
    release_claim(tmp_path, "AAPL_d1_20250121T153000Z-2", owner=OWNER)
    (tmp_path / "AAPL_d1_20250121T153000Z-2.joblib").touch()
    assert claim(tmp_path, owner="another") == "AAPL_d1_20250121T153000Z-3"


def test_odd_tickers_make_plain_and_different_names(tmp_path):
    names = [
        claim(tmp_path, ticker=ticker)
        for ticker in ("EUR/USD", "EUR:USD", "../../etc", "BRK.B", "株")
    ]
    assert len(set(names)) == 5
    for name in names:
        assert name.isascii()
        assert not set(name) & set("/\\: ")
        assert not name.startswith(".")
    assert slug("BRK.B") == "BRK.B"


def test_files_without_a_row_are_swept_and_those_with_one_kept(tmp_path):
    lost, kept = claim(tmp_path), claim(tmp_path)
    for version_id in (lost, kept):
        save_ensemble(replace(make_ensemble(), version_id=version_id), tmp_path)
    half_written = claim(tmp_path)
    (tmp_path / f".{half_written}.joblib.tmp").touch()
    removed = sweep_claims(
        tmp_path, owner=OWNER, on_record=lambda claimed: claimed & {kept}
    )
    assert removed == sorted([lost, half_written])
    assert [entry.name for entry in tmp_path.iterdir()] == [f"{kept}.joblib"]


def test_another_warehouse_sharing_the_folder_is_not_swept(tmp_path):
    version_id = claim(tmp_path, owner="another")
    save_ensemble(replace(make_ensemble(), version_id=version_id), tmp_path)
    (tmp_path / "finished.joblib").touch()
    before = sorted(tmp_path.iterdir())
    assert sweep_claims(tmp_path, owner=OWNER, on_record=lambda _: set()) == []
    assert sorted(tmp_path.iterdir()) == before


def test_warehouses_have_claims_of_their_own(tmp_path):
    def owner(database, **variables):
        settings = load_settings({"SWIFTBOLT_HOME": str(tmp_path), **variables})
        return claim_owner(settings, database=database)

    postgres = {"SWIFTBOLT_TARGET": "postgres"}
    assert owner("socket 1") == owner("socket 2")
    assert owner("a:5432/x", **postgres) == owner("a:5432/x", **postgres)
    owners = [
        owner("a:5432/x"),
        owner("a:5432/x", **postgres),
        owner("a:5432/y", **postgres),
        owner("a:5432/x", SWIFTBOLT_SCHEMA_PREFIX="me_", **postgres),
    ]
    assert len(set(owners)) == 4


def test_another_major_version_of_a_library_is_refused():
    found = library_versions()
    check_library_versions("AAPL_d1_x", found, train_command="")
    before = {**found, "scikit-learn": "0.24.2"}
    with pytest.raises(ArtifactError, match=r"scikit-learn 0\.24\.2.* swift"):
        check_library_versions(
            "AAPL_d1_x", before, train_command="swiftbolt train"
        )


def test_an_unknown_version_is_told(warehouse):
    with pytest.raises(UnknownVersionError, match="no version 'nope'"):
        load_ensemble(warehouse, "nope")


@pytest.fixture
def earlier():
    """What an artifact on record gave when it was trained, or a skip.

    A weekly ensemble of one horizon with a member of each kind, and the two
    pooled members that it refers to, as trained on the sample.
    """
    found = json.loads((EARLIER / "expected.json").read_text())
    try:
        check_library_versions(
            found["version_id"],
            found["library_versions"],
            train_command="swiftbolt train --all",
        )
    except ArtifactError as error:
        pytest.skip(str(error))
    return found


def test_an_artifact_on_record_still_gives_the_probabilities_of_its_training(
    earlier,
):
    ensemble = load_artifact(
        EARLIER / f"{earlier['version_id']}.joblib",
        sha256=earlier["sha256"],
        folder=EARLIER,
    )
    horizon = ensemble.horizons[earlier["horizon"]]
    X = np.array(earlier["X"])
    assert list(horizon.members) == list(ROSTER)
    assert dict(horizon.weights) == earlier["weights"]
    # Another minor version may round otherwise.
    tolerance = (
        0 if library_versions() == earlier["library_versions"] else 1e-12
    )
    for name, P in horizon.member_probabilities(X).items():
        np.testing.assert_allclose(
            P,
            earlier["member_probabilities"][name],
            rtol=tolerance,
            atol=tolerance,
            err_msg=name,
        )
    np.testing.assert_allclose(
        horizon.predict_proba(X),
        earlier["probabilities"],
        rtol=tolerance,
        atol=tolerance,
    )
    assert horizon.validation.member_names == tuple(ROSTER)


def in_place_of(path, kind):
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    else:
        listening = socket.socket(socket.AF_UNIX)
        folder = os.open(path.parent, os.O_RDONLY)
        # The name of a socket is short.
        listening.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        listening.close()


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a device or socket"])
@pytest.mark.timeout(20)
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    path, sha256 = save_ensemble(make_ensemble(), tmp_path)
    in_place_of(path, kind)
    with pytest.raises(ArtifactError, match=f"is no file but {kind}"):
        load_artifact(path, sha256=sha256, folder=tmp_path)
    assert not is_intact(path, sha256=sha256, folder=tmp_path)


def test_the_file_of_another_version_under_its_name_is_refused(tmp_path):
    path, sha256 = save_ensemble(make_ensemble(), tmp_path)
    other = path.rename(tmp_path / "MSFT_d1_20250121T153000Z.joblib")
    with pytest.raises(ArtifactError, match=r"holds version AAPL_d1_2025.* of"):
        load_artifact(other, sha256=sha256, folder=tmp_path)
