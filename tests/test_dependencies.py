import doctest
import importlib.metadata
import importlib.util

import pytest

from python_ml.settings import PROJECT_ROOT

_specification = importlib.util.spec_from_file_location(
    "check_dependencies", PROJECT_ROOT / "scripts" / "check_dependencies.py"
)
dependencies = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(dependencies)


def test_its_examples_hold():
    assert doctest.testmod(dependencies).failed == 0


def test_no_licence_of_what_is_installed_forbids_its_use(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["check_dependencies.py"])
    assert dependencies.main() == 0
    listed = capsys.readouterr().out
    assert f"numpy{' ' * 28}{importlib.metadata.version('numpy')}" in listed


@pytest.mark.parametrize(
    "licence",
    [
        "AGPL-3.0-only",
        "CC BY-NC 4.0",
        "Business Source License 1.1",
        "free for non-commercial use",
        None,
    ],
)
def test_a_licence_that_cannot_be_accepted_is_named(licence):
    assert dependencies.find_fault("thing", licence).startswith("thing ")
