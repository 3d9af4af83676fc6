"""A backup put back into an empty warehouse issues the same forecasts."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from python_ml import schema
from python_ml.exceptions import BackupError, JobRunningError
from python_ml.forecasting.issue import forecast
from python_ml.operations.backup import MANIFEST, backup, restore
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse, open_warehouse
from python_ml.warehouse.jobs import job_run
from tests.conftest import run_swiftbolt, warehouse_environment
from tests.forecast_market import close_of, deploy, make_ensemble


@pytest.fixture(scope="module")
def market(
    fresh_warehouse: Callable[..., Warehouse], market_database: str
) -> Iterator[Warehouse]:
    with fresh_warehouse(template=market_database) as made:
        for ticker in ("AAA", "BBB"):
            deploy(made, make_ensemble(made, ticker=ticker, as_of=close_of(-9)))
        yield made


@pytest.fixture(scope="module")
def kept(market, run_folder) -> Path:
    """Folder of a backup of the market."""
    path = run_folder / "backups" / "market"
    summary = backup(market, path)
    assert summary.n_artifacts == 2
    return path


@pytest.fixture
def target(fresh_warehouse, monkeypatch) -> Warehouse:
    """An empty database, which the environment names."""
    made = fresh_warehouse(migrate=False)
    for name, value in warehouse_environment(made).items():
        monkeypatch.setenv(name, value)
    return made


def issued(warehouse) -> pd.DataFrame:
    forecast(warehouse)
    return read_frame(
        warehouse,
        "select * from {ml}.forecasts "
        "order by symbol_id, timeframe, horizon, closed_at",
    ).drop(columns=["forecast_id", "issued_at", "written_at", "job_run_id"])


def test_a_restored_warehouse_issues_the_same_forecasts(market, kept, target):
    assert restore(target.settings, kept).n_artifacts == 2
    with open_warehouse(target.settings) as restored:
        pd.testing.assert_frame_equal(issued(restored), issued(market))
        assert len(issued(restored)) == 6
        running = read_frame(
            restored, "select job from {ml}.job_runs where status = 'running'"
        )
        assert running.empty


def test_an_empty_warehouse_that_is_migrated_will_do(kept, target):
    with open_warehouse(target.settings):
        pass
    restore(target.settings, kept)


def test_a_warehouse_that_holds_something_is_left_alone(kept, target):
    with open_warehouse(target.settings) as warehouse, warehouse.begin() as c:
        c.execute(
            schema.symbols.insert().values(
                ticker="MINE", calendar="XNYS", source="test"
            )
        )
    with pytest.raises(BackupError, match="symbols holds rows"):
        restore(target.settings, kept)
    with open_warehouse(target.settings) as warehouse:
        tickers = read_frame(warehouse, "select ticker from {raw}.symbols")
    assert tickers["ticker"].tolist() == ["MINE"]
    assert not target.settings.artifacts_dir.exists()


def alter(path: Path, name: str, change: Callable[[Path], object]) -> None:
    (file,) = path.glob(name)
    change(file)


def newer(file: Path) -> None:
    manifest = json.loads(file.read_text()) | {"migration": "9999"}
    file.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("database.dump", lambda f: f.write_bytes(b"x"), "dump of .* altered"),
        ("database.dump", Path.unlink, "dump of the backup .* is missing"),
        ("*/AAA*", lambda f: f.write_bytes(b"x"), "AAA.* is altered"),
        ("*/AAA*", Path.unlink, "AAA.* is missing"),
        (MANIFEST, lambda f: f.write_text("{"), "cannot be read"),
        (MANIFEST, lambda f: f.write_text("{}"), "cannot be read"),
        (MANIFEST, Path.unlink, "is no backup"),
        (MANIFEST, newer, "at migration 9999, but this code ends at"),
    ],
)
def test_a_backup_that_is_not_whole_restores_nothing(
    kept, target, tmp_path, name, change, message
):
    broken = tmp_path / "broken"
    shutil.copytree(kept, broken)
    alter(broken, name, change)
    with pytest.raises(BackupError, match=message):
        restore(target.settings, broken)
    schemas = read_frame(
        target,
        "select nspname from pg_catalog.pg_namespace where nspname = 'ml'",
    )
    assert schemas.empty
    assert not target.settings.artifacts_dir.exists()


def test_a_backup_is_never_written_over_and_needs_whole_artifacts(
    market, kept, tmp_path
):
    with pytest.raises(BackupError, match="never written over"):
        backup(market, kept)
    with job_run(market, "train", {}), pytest.raises(JobRunningError):
        backup(market, tmp_path / "new")
    artifact = next(market.settings.artifacts_dir.glob("AAA*"))
    content = artifact.read_bytes()
    artifact.write_bytes(b"x")
    try:
        with pytest.raises(BackupError, match="missing or altered"):
            backup(market, tmp_path / "new")
    finally:
        artifact.write_bytes(content)
    assert not (tmp_path / "new").exists()
    # What a backup that failed has left is not in the way of the next.
    assert backup(market, tmp_path / "new").n_artifacts == 2


def test_the_commands_say_what_they_wrote_and_what_is_wrong(
    kept, target, tmp_path
):
    empty = run_swiftbolt(target, "backup", str(tmp_path / "b"), "--json")
    assert json.loads(empty.stdout)["artifacts"] == 0
    done = run_swiftbolt(target, "restore", str(kept))
    assert done.returncode == 0, done.stderr
    assert "2 artifacts" in done.stdout
    again = run_swiftbolt(target, "restore", str(kept))
    assert again.returncode == 1
    assert "holds rows" in again.stderr
