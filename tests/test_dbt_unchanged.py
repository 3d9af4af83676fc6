"""What stands as dbt built it is left out, and whatever is in doubt is built.

On a small project: a seed, a table of the project's own, and views that stand
on each other and on tables. Every test leaves all of it built.
"""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from python_ml.exceptions import BuildError
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse import dbt_unchanged
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import DbtSummary, run_dbt

PROJECT = """
name: swiftbolt
profile: swiftbolt
models: {+persist_docs: {relation: true, columns: true}}
seeds: {+post-hook: "analyze {{ this }}"}
"""
SCHEMA = """
models:
  - name: on_seed
    description: A view.
    data_tests: [unique_together]
  - name: history
    config: {materialized: incremental}
  - name: replaced
    config: {materialized: table}
  - name: constants
    config: {materialized: table}
"""
FILES = {
    "dbt_project.yml": PROJECT,
    "models/schema.yml": SCHEMA,
    "tests/generic/unique_together.sql": (
        "{% test unique_together(model) %}"
        " select n from {{ model }} group by n having count(*) > 1"
        "{% endtest %}"
    ),
    "seeds/numbers.csv": "n\n1\n2\n",
    "models/constants.sql": "select 7 as n",
    "models/history.sql": "select n from {{ ref('numbers') }} where n > 5",
    "models/replaced.sql": "select n from {{ ref('numbers') }}",
    "models/on_seed.sql": "select n from {{ ref('numbers') }}",
    "models/on_view.sql": (
        "select {{ var('factor', 1) }} * n as n from {{ ref('on_seed') }}"
    ),
    "models/on_history.sql": "select n from {{ ref('history') }}",
    "models/on_replaced.sql": "select n from {{ ref('replaced') }}",
    "models/asks.sql": (
        "{% set found = run_query('select 5') if execute %}"
        "select {{ found.columns[0][0] if found else 0 }} as n"
    ),
    "models/on_asks.sql": "select n from {{ ref('asks') }}",
    "models/hooked.sql": ("{{ config(post_hook='select 1') }} select 1 as n"),
}
# Their SQL may be another every time, or they are tables that dbt fills.
ALWAYS = {"asks", "history", "hooked", "on_asks", "on_replaced", "replaced"}
UNCHANGED = {"constants", "numbers", "on_history", "on_seed", "on_view"}


@pytest.fixture(scope="module")
def project(
    fresh_warehouse: Callable[..., Warehouse],
    tmp_path_factory: pytest.TempPathFactory,
) -> Warehouse:
    """A warehouse in which the small project is built."""
    root = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        path = root / "dbt_project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy(PROJECT_ROOT / "profiles.yml", root)
    made = fresh_warehouse()
    made = replace(made, settings=replace(made.settings, project_root=root))
    first = run_dbt(made, ["build"])
    assert names_of(first) == ALWAYS | UNCHANGED
    return made


@pytest.fixture
def built_again(project: Warehouse) -> Iterator[None]:
    """Build what the test has left otherwise."""
    yield
    run_dbt(project, ["build"])


def names_of(summary: DbtSummary) -> set[str]:
    """Seeds and dbt models that were built."""
    return {
        result.node.name
        for result in summary.output.results
        if result.node.resource_type in ("model", "seed")
    }


def execute(warehouse: Warehouse, statement: str) -> None:
    with warehouse.begin() as connection:
        connection.exec_driver_sql(statement)


def values(warehouse: Warehouse, relation: str) -> list[int]:
    with warehouse.begin() as connection:
        return list(
            connection.exec_driver_sql(
                f"select n from features.{relation} order by n"
            ).scalars()
        )


@contextlib.contextmanager
def edited(warehouse: Warehouse, name: str, text: str) -> Iterator[None]:
    path = warehouse.settings.dbt_project_dir / name
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(FILES[name])


def test_what_is_left_out_is_counted_and_its_tests_run(project):
    summary = run_dbt(project, ["build"])
    assert summary.n_unchanged == len(UNCHANGED)
    assert summary.counts == {"success": len(ALWAYS), "pass": 1}
    assert names_of(summary) == ALWAYS


def test_a_selection_of_which_everything_stands_is_no_mistake(project):
    summary = run_dbt(project, ["run", "--select", "on_view"])
    assert (summary.n_nodes, summary.n_unchanged) == (0, 1)


@pytest.mark.parametrize(
    ("change", "built"),
    [
        ("drop view features.on_view", {"on_view"}),
        ("drop view features.on_seed cascade", {"on_seed", "on_view"}),
        (
            "create or replace view features.on_view as select 1 as n",
            {"on_view"},
        ),
        (
            "create or replace view features.on_seed as "
            "select n + 1 as n from features.numbers",
            {"on_seed", "on_view"},
        ),
        ("alter view features.on_view rename n to m", {"on_view"}),
        ("comment on view features.on_seed is 'x'", {"on_seed", "on_view"}),
        ("grant select on features.on_view to pg_monitor", {"on_view"}),
        ("update features.numbers set n = 3 where n = 2", {"numbers"}),
        ("truncate features.constants", {"constants"}),
        (
            "drop table features.numbers cascade",
            {"numbers", "on_seed", "on_view"},
        ),
        (
            "delete from intermediate.relations_built "
            "where relation_name = 'on_history'",
            {"on_history"},
        ),
        ("drop table intermediate.relations_built", UNCHANGED),
    ],
)
def test_what_was_changed_by_hand_is_built_again(project, change, built):
    execute(project, change)
    assert names_of(run_dbt(project, ["build"])) == ALWAYS | built
    assert values(project, "on_view") == [1, 2]
    assert values(project, "constants") == [7]


def test_other_variables_build_everything_once(project):
    other = ["build", "--vars", json.dumps({"factor": 3})]
    assert names_of(run_dbt(project, other)) == ALWAYS | UNCHANGED
    assert values(project, "on_view") == [3, 6]
    assert names_of(run_dbt(project, other)) == ALWAYS
    assert names_of(run_dbt(project, ["build"])) == ALWAYS | UNCHANGED
    assert values(project, "on_view") == [1, 2]


@pytest.mark.usefixtures("built_again")
def test_a_changed_file_of_the_project_builds_everything_once(project):
    changed = "select n + 10 as n from {{ ref('numbers') }}"
    with edited(project, "models/on_seed.sql", changed):
        assert names_of(run_dbt(project, ["build"])) == ALWAYS | UNCHANGED
        assert values(project, "on_view") == [11, 12]


@pytest.mark.parametrize(
    "options", [["--full-refresh"], ["--empty"]], ids=lambda options: options[0]
)
def test_options_that_change_what_is_built_leave_nothing_out(project, options):
    summary = run_dbt(project, ["build", *options])
    assert names_of(summary) == ALWAYS | UNCHANGED
    # What was built of empty tables is not taken for what the project says.
    run_dbt(project, ["build"])
    assert values(project, "on_view") == [1, 2]


@pytest.mark.usefixtures("built_again")
def test_a_failed_run_is_not_on_record(project):
    faulty = edited(project, "models/on_history.sql", "select oops")
    with faulty:
        with pytest.raises(BuildError, match="on_history"):
            run_dbt(project, ["run"])
        summary = run_dbt(project, ["run", "--exclude", "on_history"])
    assert {"on_seed", "on_view"} <= names_of(summary)


@pytest.mark.usefixtures("built_again")
def test_what_goes_while_dbt_runs_is_an_error(project, monkeypatch):
    choose = dbt_unchanged.unchanged_nodes

    def choose_and_drop(*arguments):
        chosen = choose(*arguments)
        execute(project, "drop view if exists features.on_view")
        return chosen

    with monkeypatch.context() as patch:
        patch.setattr(dbt_unchanged, "unchanged_nodes", choose_and_drop)
        with pytest.raises(BuildError, match=r"on_view.*swiftbolt build"):
            run_dbt(project, ["run"])


def test_a_copy_of_the_database_knows_what_stands_in_it(
    project, fresh_warehouse
):
    project.close()
    with fresh_warehouse(template=project.parameters.database) as copied:
        copied = replace(
            copied,
            settings=replace(
                copied.settings, project_root=project.settings.project_root
            ),
        )
        assert names_of(run_dbt(copied, ["build"])) == ALWAYS
