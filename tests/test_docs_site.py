"""docs/ as a site: whole, at home, and refused where a link leads nowhere."""

import doctest
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from python_ml.settings import PROJECT_ROOT

# What a browser loads by itself, not links that a reader follows.
LOADED = re.compile(
    r"<(?:script|img|iframe|link)[^>]* (?:src|href)=[\"']?(\S*)"
)
SHOWN = (
    "README.md",
    "CHANGELOG.md",
    "DECISIONS.md",
    "deploy/README.md",
    "docs",
    "mkdocs.yml",
    "scripts/docs_hooks.py",
)


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)],
        cwd=root,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    ended = build(PROJECT_ROOT, folder)
    assert ended.returncode == 0, ended.stderr
    return folder


def test_every_page_of_the_documentation_is_shown_and_can_be_reached(site):
    first = (site / "index.html").read_text()
    names = {path.stem for path in (PROJECT_ROOT / "docs").glob("*.md")}
    assert len(names) >= 10
    for name in names | {"deploy", "decisions", "changelog"}:
        assert (site / f"{name}.html").is_file(), name
        assert f'href="{name}.html"' in first, name


def test_nothing_is_loaded_from_elsewhere(site):
    for page in site.glob("*.html"):
        loaded = LOADED.findall(page.read_text())
        assert len(loaded) > 3
        for address in loaded:
            assert not re.match(r"(https?:)?//", address), (page.name, address)


@pytest.mark.parametrize("link", ["nowhere.md", "drift.md#no-such-heading"])
def test_a_link_that_leads_nowhere_stops_the_build(tmp_path, link):
    for name in SHOWN:
        copied = tmp_path / "project" / name
        copied.parent.mkdir(parents=True, exist_ok=True)
        if (source := PROJECT_ROOT / name).is_dir():
            shutil.copytree(source, copied)
        else:
            shutil.copy(source, copied)
    with (copied.parents[1] / "docs" / "sql.md").open("a") as page:
        page.write(f"\n[away]({link})\n")
    ended = build(tmp_path / "project", tmp_path / "site")
    assert ended.returncode == 1
    assert link in ended.stderr


def test_links_of_the_repository_become_those_of_the_site():
    specification = importlib.util.spec_from_file_location(
        "docs_hooks", PROJECT_ROOT / "scripts" / "docs_hooks.py"
    )
    assert specification is not None
    assert specification.loader is not None
    hooks = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(hooks)
    assert doctest.testmod(hooks) == (0, 2)
