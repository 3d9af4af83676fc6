"""Imports point one way, as the contracts of pyproject.toml say."""

import pytest
from importlinter.cli import lint_imports

from python_ml.settings import PROJECT_ROOT


def test_imports_keep_the_contracts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT_ROOT)

    exit_code = lint_imports(no_cache=True)

    assert exit_code == 0, capsys.readouterr().out
