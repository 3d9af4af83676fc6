"""The page on adding a source is true."""

import importlib
import re

from python_ml.ingestion.base import BarSource, Load
from python_ml.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "adding_a_source.md"


def test_every_file_that_the_page_names_is_there():
    named = set(re.findall(r"[\w./]+/[\w.]*", PAGE.read_text()))
    assert len(named) > 12
    assert [name for name in named if not (PROJECT_ROOT / name).exists()] == []


def test_every_name_of_the_page_stands_in_a_module_that_it_names():
    text = PAGE.read_text()
    modules = [
        importlib.import_module(path.removesuffix(".py").replace("/", "."))
        for path in set(re.findall(r"python_ml/[\w/]+\.py", text))
    ]
    names = set(re.findall(r"`([A-Za-z_]+)(?:\(\))?`", text))
    members = {*BarSource.__dict__, *Load.__dataclass_fields__}
    words = {"alpaca_sip", "alpaca_iex", "opened_at", "requests"}
    unknown = [
        name
        for name in names - members - words
        if not any(hasattr(module, name) for module in modules)
    ]
    assert len(names) > 18
    assert unknown == []
    assert {"name", "calendar", "read"} <= names


def test_the_page_names_everything_that_a_load_holds():
    text = PAGE.read_text()
    optional = {"time_zone", "source_names"}
    wanted = set(Load.__dataclass_fields__) - optional
    assert [name for name in wanted if f"`{name}`" not in text] == []
