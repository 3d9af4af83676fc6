"""The page on adding a feature is true, and what follows from it is written."""

import importlib.util
import re

import pytest

from python_ml.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "adding_a_feature.md"


@pytest.fixture(scope="module")
def writer():
    """The script that writes the contracts."""
    path = PROJECT_ROOT / "scripts" / "write_feature_contracts.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def names(writer):
    return writer.feature_names(writer.DEFINITIONS.read_text())


def test_every_file_that_the_page_names_is_there():
    named = re.findall(r"[\w./]+\.(?:sql|md|py)\b", PAGE.read_text())
    assert len(set(named)) > 5
    assert [name for name in named if not (PROJECT_ROOT / name).is_file()] == []


def test_the_contracts_hold_what_is_written_from_the_definitions(writer, names):
    contracts = writer.CONTRACTS.read_text()
    assert writer.with_features(contracts, names) == contracts
    # feature_rows and the two views of examples.
    assert contracts.count(f"- name: {names[0]}\n") == 3


def test_a_new_feature_comes_into_every_contract_at_its_place(writer, names):
    contracts = writer.CONTRACTS.read_text()
    written = writer.with_features(contracts, [*names[:3], "new", *names[3:]])
    columns = re.findall(r"doc\('feature_(\w+)'\)", written)
    assert columns.count("new") == 3
    place = columns.index("new")
    assert columns[place - 1 : place + 2] == [names[2], "new", names[3]]


def test_every_feature_is_described_and_nothing_else_is(names):
    path = PROJECT_ROOT / "dbt_project/models/features/_features__columns.md"
    described = re.findall(r"{% docs feature_(\w+) %}", path.read_text())
    assert sorted(described) == sorted([*names, "scale"])
