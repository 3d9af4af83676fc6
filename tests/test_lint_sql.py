"""SQL that has passed is linted again once anything about it has changed."""

from pathlib import Path

import pytest

from scripts.lint_sql import lint

FILES = {
    "pyproject.toml": "[tool.sqlfluff.core]",
    "dbt_project/macros/a.sql": "{% macro a() %}{% endmacro %}",
    "dbt_project/lint/adapter.py": "",
    "dbt_project/models/one.sql": "select 1",
    "dbt_project/models/two.sql": "select 2",
    "dbt_project/target/compiled.sql": "select 3",
}
ALL = {name for name in FILES if name.endswith(".sql") and "target" not in name}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert linted(tmp_path) == ALL
    return tmp_path


def linted(root: Path, status: int = 0) -> set[str]:
    names: set[str] = set()

    def run(given: list[str]) -> int:
        names.update(given)
        return status

    assert lint(root, run) == status
    return names


def test_what_has_passed_is_not_linted_again(root: Path) -> None:
    assert linted(root) == set()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dbt_project/models/one.sql", {"dbt_project/models/one.sql"}),
        ("dbt_project/macros/a.sql", ALL),
        ("dbt_project/lint/adapter.py", ALL),
        ("pyproject.toml", ALL),
    ],
)
def test_a_change_is_linted_with_all_that_reads_it(
    root: Path, name: str, expected: set[str]
) -> None:
    path = root / name
    path.write_text(path.read_text() + "\n")
    assert linted(root) == expected


def test_what_has_failed_is_linted_until_it_passes(root: Path) -> None:
    one = "dbt_project/models/one.sql"
    (root / one).write_text("select  1")
    assert linted(root, status=1) == {one}
    assert linted(root, status=1) == {one}
    assert linted(root) == {one}
    assert linted(root) == set()
