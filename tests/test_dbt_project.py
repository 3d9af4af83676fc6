"""The dbt project as a whole: what its SQL may say and who explains it."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from tests.conftest import clean_environment, warehouse_environment

DBT_PROJECT = PROJECT_ROOT / "dbt_project"
SCHEMAS_TO_QUERY = ("features", "forecasting", "monitoring", "leakage_audit")


def looks_ahead(compiled_sql: str) -> Iterator[str]:
    """What in a statement reads rows later than its own."""
    tree = sqlglot.parse_one(compiled_sql, read="postgres")
    for node in tree.find_all(exp.Lead):
        yield node.sql()
    for window in tree.find_all(exp.Window):
        spec = window.args.get("spec")
        if spec is not None and "FOLLOWING" in spec.sql().upper():
            yield window.sql()
        if any(term.args.get("desc") for term in window.find_all(exp.Ordered)):
            yield window.sql()
    # Named windows are no `Window` over a function: read them as text.
    if " following" in compiled_sql.lower():
        yield "following"


@pytest.fixture(scope="module")
def manifest(built_sample: Warehouse) -> dict[str, dict]:
    """What dbt knows of the project, compiled."""
    run_dbt(built_sample, ["compile", "--write-json"])
    target = built_sample.settings.home / "dbt_target" / "manifest.json"
    return json.loads(target.read_text())


@pytest.fixture(scope="module")
def compiled(manifest: dict[str, dict]) -> dict[str, dict]:
    """Nodes of the manifest by name."""
    return {node["name"]: node for node in manifest["nodes"].values()}


def models(compiled: dict[str, dict]) -> list[dict]:
    found = [n for n in compiled.values() if n["resource_type"] == "model"]
    assert len(found) > 30
    return found


@pytest.mark.parametrize(
    "leak",
    [
        "select lead(close, 1) over (order by n asc) from bars",
        "select lag(close, 1) over (partition by s order by n desc) from bars",
        "select sum(close) over (order by n rows between current row "
        "and 1 following) from bars",
        "select sum(close) over w from bars window w as (order by n asc "
        "rows between current row and 1 following)",
    ],
)
def test_a_planted_look_ahead_is_seen(leak: str) -> None:
    assert list(looks_ahead(leak))


def test_no_dbt_model_outside_labels_looks_ahead(
    compiled: dict[str, dict],
) -> None:
    findings = {
        model["name"]: list(looks_ahead(model["compiled_code"]))
        for model in models(compiled)
        if "labels" not in model["fqn"][1:-1]
    }
    assert {name: found for name, found in findings.items() if found} == {}


def ancestors(compiled: dict[str, dict], name: str) -> set[str]:
    """Names of all dbt models that a dbt model is made from."""
    parents = {
        parent.rsplit(".", 1)[1]
        for parent in compiled[name]["depends_on"]["nodes"]
        if parent.startswith("model.")
    }
    return parents.union(*(ancestors(compiled, parent) for parent in parents))


def test_forecasting_reads_nothing_of_what_came_after_the_close(
    compiled: dict[str, dict],
) -> None:
    scoring = compiled["scoring_examples"]["depends_on"]["nodes"]
    assert {name.rsplit(".", 1)[1] for name in scoring} == {
        "feature_rows",
        "horizon_scales",
    }
    scales = sqlglot.parse_one(
        compiled["horizon_scales"]["compiled_code"], read="postgres"
    )
    assert {column.name for column in scales.find_all(exp.Column)} == {
        "symbol_id",
        "ticker",
        "calendar",
        "timeframe",
        "horizon",
        "horizon_bars",
        "bar_number",
        "closed_at",
        "label_end_bar_number",
        "label_end_at",
        "expected_volatility",
        "forecast_volatility",
        "label_threshold",
    }


def test_what_is_known_at_the_close_is_made_before_any_label(
    compiled: dict[str, dict],
) -> None:
    for name in ("feature_rows", "int_bars_scaled_to_horizons"):
        made_from = ancestors(compiled, name)
        assert made_from.isdisjoint({"labels", "int_bars_matched_to_targets"})
    targets = compiled["int_bars_matched_to_targets"]["depends_on"]["nodes"]
    assert "model.swiftbolt.int_bars_scaled_to_horizons" in targets


def test_every_compiled_dbt_model_transpiles_to_spark(
    compiled: dict[str, dict],
) -> None:
    for model in models(compiled):
        statements = sqlglot.transpile(
            model["compiled_code"],
            read="postgres",
            write="spark",
            unsupported_level=sqlglot.ErrorLevel.RAISE,
        )
        assert len(statements) == 1, model["name"]
        assert "::" not in model["compiled_code"], model["name"]


def test_every_table_and_every_column_that_is_listed_is_described(
    manifest: dict[str, dict],
) -> None:
    tables = [
        node
        for kind in ("nodes", "sources")
        for node in manifest[kind].values()
        if node["resource_type"] in ("model", "seed", "source")
    ]
    assert {node["resource_type"] for node in tables} == {
        "model",
        "seed",
        "source",
    }
    silent = [
        f"{node['name']}.{column['name']}" if column else node["name"]
        for node in tables
        for column in (None, *node["columns"].values())
        if not (column or node)["description"].strip()
    ]
    assert silent == []


@pytest.mark.parametrize("schema", SCHEMAS_TO_QUERY)
def test_every_column_of_the_schemas_to_query_is_listed(
    built_sample: Warehouse, compiled: dict[str, dict], schema: str
) -> None:
    columns = read_frame(
        built_sample,
        "select table_name, column_name from information_schema.columns "
        "where table_schema = :schema",
        {"schema": built_sample.settings.schema(schema)},
    )
    listed = {
        (node["alias"], column)
        for node in compiled.values()
        if node["resource_type"] in ("model", "seed")
        and node["schema"] == built_sample.settings.schema(schema)
        for column in node["columns"]
    }
    assert listed
    assert listed == set(columns.itertuples(index=False, name=None))


def test_the_readme_names_the_schemas_to_query() -> None:
    readme = " ".join((PROJECT_ROOT / "README.md").read_text().split())
    names = [f"`{schema}`" for schema in SCHEMAS_TO_QUERY]
    assert (
        "every column of the schemas to query: "
        f"{', '.join(names[:-1])} and {names[-1]}" in readme
    )


def test_every_dbt_model_has_a_test_of_its_grain_or_of_being_empty(
    compiled: dict[str, dict],
) -> None:
    tested = {
        node["attached_node"]
        for node in compiled.values()
        if node["resource_type"] == "test"
        # A test of its own file has none.
        and node.get("test_metadata", {}).get("name")
        in ("unique_grain", "has_one_row", "is_empty")
    }
    untested = [
        m["name"] for m in models(compiled) if m["unique_id"] not in tested
    ]
    assert untested == []


def test_the_catalogue_lists_the_features_of_the_contract_in_order(
    compiled: dict[str, dict],
) -> None:
    columns = list(compiled["feature_rows"]["columns"])
    features = columns[columns.index("reference_close") + 1 :]
    for view in ("training_examples", "scoring_examples"):
        columns = list(compiled[view]["columns"])
        assert columns[-len(features) - 1 : -1] == features
        assert columns[-1] == "forecast_to_expected"
    catalogue = compiled["feature_catalog"]["compiled_code"]
    places = [catalogue.index(f"'{feature}' as text") for feature in features]
    assert places == sorted(places)
    assert len(features) == catalogue.count("as feature")


def dbt(
    *arguments: str, cwd: Path, environment: dict[str, str], home: Path
) -> subprocess.CompletedProcess[str]:
    outputs = {
        "DBT_TARGET_PATH": str(home / "by_hand"),
        "DBT_LOG_PATH": str(home / "by_hand"),
    }
    return subprocess.run(
        [str(Path(os.sys.executable).parent / "dbt"), *arguments],
        cwd=cwd,
        env=environment | outputs,
        capture_output=True,
        text=True,
    )


def test_dbt_build_by_hand_passes_with_every_test(
    sample_database: str, fresh_warehouse: Callable[..., Warehouse]
) -> None:
    with fresh_warehouse(template=sample_database) as by_hand:
        environment = warehouse_environment(by_hand)
        home = by_hand.settings.home
        built = dbt(
            "build", cwd=DBT_PROJECT, environment=environment, home=home
        )
        assert built.returncode == 0, built.stdout[-3000:]
        assert "ERROR=0" in built.stdout
        documented = dbt(
            "docs",
            "generate",
            "--project-dir",
            "dbt_project",
            "--profiles-dir",
            ".",
            cwd=PROJECT_ROOT,
            environment=environment,
            home=home,
        )
        assert documented.returncode == 0, documented.stdout[-3000:]
        assert (home / "by_hand" / "catalog.json").is_file()


def test_dbt_parse_needs_neither_server_nor_variables(tmp_path: Path) -> None:
    parsed = dbt(
        "parse",
        "--profiles-dir",
        str(PROJECT_ROOT),
        cwd=DBT_PROJECT,
        environment=clean_environment(),
        home=tmp_path,
    )
    assert parsed.returncode == 0, parsed.stdout[-3000:]
