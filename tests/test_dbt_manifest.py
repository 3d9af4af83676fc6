"""What dbt has parsed is used again, and parsed anew where it must be."""

import dataclasses
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from dbt.contracts.graph.manifest import Manifest

from python_ml.settings import PROJECT_ROOT, Settings
from python_ml.warehouse import dbt, dbt_manifest
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.dbt_manifest import (
    kept_manifest,
    manifest_of_parts,
    parsing_digest,
    parts_of_manifest,
)
from python_ml.warehouse.parameters import ConnectionParameters
from tests.test_dbt import model, small

__all__ = ["small"]

PARAMETERS = ConnectionParameters("localhost", 5432, "ann", "secret", "bolt")


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Folder of what is kept, this test's own."""
    folder = tmp_path / "kept"
    monkeypatch.setattr(dbt_manifest, "kept_dir", lambda settings: folder)
    return folder


@pytest.fixture
def parsings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that dbt is given, as they come."""
    commands = []
    invoke = dbt._invoke

    def note(settings, arguments, *others):
        commands.append(arguments[0])
        return invoke(settings, arguments, *others)

    monkeypatch.setattr(dbt, "_invoke", note)
    return commands


def numbers(warehouse: Warehouse) -> list[int]:
    with warehouse.begin() as connection:
        rows = connection.exec_driver_sql("select n from features.upper")
        return list(rows.scalars())


def test_a_project_is_parsed_once_for_all_databases(
    small: Warehouse, fresh_warehouse: Callable[..., Warehouse], parsings
) -> None:
    run_dbt(small, ["build"])
    with fresh_warehouse() as other:
        elsewhere = replace(
            other,
            settings=replace(
                other.settings, project_root=small.settings.project_root
            ),
        )
        summary = run_dbt(elsewhere, ["build"])
        assert numbers(elsewhere) == [1]
        run_dbt(small, ["build"])
    assert summary.counts == {"success": 2, "pass": 2}
    assert parsings == ["parse", "build", "build", "build"]


def test_what_changed_is_parsed_anew_and_then_kept_too(small, parsings):
    run_dbt(small, ["run"])
    model(small, "lower").write_text("select 2 as n")
    run_dbt(small, ["run"])
    assert numbers(small) == [2]
    model(small, "lower").write_text("select 1 as n")
    run_dbt(small, ["run"])
    assert numbers(small) == [1]
    assert parsings == ["parse", "run", "parse", "run", "run"]


def test_variables_are_parsed_with(small, parsings):
    model(small, "upper").write_text(
        "{{ config(enabled=var('has_upper', true)) }} select 1 as n"
    )
    names = [
        run_dbt(small, ["list", "--resource-type", "model", *given]).output
        for given in (["--vars", "has_upper: false"], [], ["--vars={}"])
    ]
    assert [len(found) for found in names] == [1, 2, 2]
    assert parsings == ["parse", "list", "parse", "list", "list"]


def test_a_kept_file_that_cannot_be_read_is_made_again(small, kept, parsings):
    run_dbt(small, ["list"])
    (file,) = kept.iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    run_dbt(small, ["list"])
    pickle.loads(file.read_bytes())
    assert parsings == ["parse", "list", "parse", "list"]


def test_what_dbt_writes_into_a_manifest_is_not_kept(small, kept):
    run_dbt(small, ["run"])
    (file,) = kept.iterdir()
    before = file.read_bytes()
    _, parts = pickle.loads(before)
    assert not any(node.compiled for node in parts["nodes"].values())
    run_dbt(small, ["run"])
    assert file.read_bytes() == before


def test_every_part_of_a_manifest_is_kept_in_its_place() -> None:
    names = [part.name for part in dataclasses.fields(Manifest)]
    parts = {name: {name: 1} for name in names if not name.startswith("_")}
    assert {"nodes", "unit_tests", "fixtures"} <= set(parts)
    manifest = Manifest(**parts)
    manifest._ref_lookup = "an index"
    again = manifest_of_parts(
        pickle.loads(pickle.dumps(parts_of_manifest(manifest)))
    )
    assert {name: getattr(again, name) for name in parts} == parts
    assert again._ref_lookup is None


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    """A checkout with a copy of the dbt project."""
    shutil.copytree(PROJECT_ROOT / "dbt_project", tmp_path / "dbt_project")
    shutil.copy(PROJECT_ROOT / "profiles.yml", tmp_path)
    return Settings(tmp_path, tmp_path / "home", "postgres")


@pytest.mark.parametrize(
    "file",
    [
        "profiles.yml",
        "dbt_project/dbt_project.yml",
        "dbt_project/seeds/timeframes.csv",
        "dbt_project/macros/times.sql",
        "dbt_project/models/features/_features__models.yml",
        "dbt_project/models/features/one_more.sql",
    ],
)
def test_every_file_decides_what_is_parsed(project: Settings, file) -> None:
    before = parsing_digest(project, PARAMETERS, "{}")
    with (project.project_root / file).open("a") as opened:
        opened.write("\n")
    assert parsing_digest(project, PARAMETERS, "{}") != before


def test_a_file_under_another_name_is_another(project: Settings) -> None:
    before = parsing_digest(project, PARAMETERS, "{}")
    bars = project.dbt_project_dir / "models" / "features" / "bars.sql"
    bars.rename(bars.with_name("bars_2.sql"))
    assert parsing_digest(project, PARAMETERS, "{}") != before


def test_target_variables_environment_and_versions_decide_as_well(
    project: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = [parsing_digest(project, PARAMETERS, "{}")]
    digests.append(parsing_digest(project, PARAMETERS, "{as_of: 2012-06-29}"))
    digests.append(
        parsing_digest(replace(project, target="embedded"), PARAMETERS, "{}")
    )
    with monkeypatch.context() as patch:
        patch.setenv("SWIFTBOLT_SCHEMA_PREFIX", "other_")
        digests.append(parsing_digest(project, PARAMETERS, "{}"))
    with monkeypatch.context() as patch:
        patch.setattr(dbt_manifest, "version", lambda package: "9.9")
        digests.append(parsing_digest(project, PARAMETERS, "{}"))
    assert len(set(digests)) == len(digests)


def test_connection_and_what_dbt_writes_do_not(
    project: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = parsing_digest(project, PARAMETERS, "{}")
    monkeypatch.setenv("PGPORT", "1234")
    monkeypatch.setenv("UNRELATED", "1")
    (project.dbt_project_dir / "target").mkdir(exist_ok=True)
    (project.dbt_project_dir / "target" / "manifest.json").write_text("{}")
    elsewhere = replace(PARAMETERS, database="other", port=1234)
    assert parsing_digest(project, elsewhere, "{}") == before


def test_names_of_relations_follow_the_database() -> None:
    def named(database: str, relation: str | None) -> SimpleNamespace:
        return SimpleNamespace(database=database, relation_name=relation)

    def manifest(database: str) -> SimpleNamespace:
        nodes = {
            "table": named(database, f'"{database}"."features"."a"'),
            "alike": named("a.b", '"a.b"."a"."a"'),
            "test": named(database, None),
        }
        return SimpleNamespace(
            nodes=nodes,
            sources={"bars": named(database, f'"{database}"."raw"."bars"')},
            unit_tests={},
            flat_graph={
                "nodes": {name: vars(node) for name, node in nodes.items()},
                "sources": {},
            },
        )

    moved = manifest("a")
    dbt_manifest.move_to_database(moved, "a", r"b\1")
    assert moved == manifest(r"b\1")


def test_only_the_newest_are_kept(
    project: Settings, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt_manifest, "N_KEPT", 3)
    for number in range(dbt_manifest.N_KEPT + 2):
        variables = f"{{n: {number}}}"
        kept_manifest(project, PARAMETERS, variables, Manifest)
        digest = parsing_digest(project, PARAMETERS, variables)
        os.utime(kept / f"{digest}.pickle", (number, number))
    assert len(list(kept.iterdir())) == dbt_manifest.N_KEPT
    assert (kept / f"{digest}.pickle").exists()
