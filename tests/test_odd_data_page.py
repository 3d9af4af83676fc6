"""The page on odd data names the tests that hold it."""

import re

from python_ml.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "odd_data.md"


def test_every_test_that_the_page_names_is_there():
    for line in PAGE.read_text().splitlines():
        file = None
        for name in re.findall(r"`((?:test_\w+\.py::)?test_\w+)`", line):
            if "::" in name:
                file, name = name.split("::")
            assert file is not None, line
            text = (PROJECT_ROOT / "tests" / file).read_text()
            assert f"def {name}(" in text, f"{file} has no {name}"


def test_every_row_is_held_by_a_test_and_the_readme_links_the_page():
    rows = [
        line
        for line in PAGE.read_text().splitlines()
        if line.startswith("|") and not line.startswith(("| you", "| ---"))
    ]
    assert len(rows) > 30
    assert [row for row in rows if "`test_" not in row] == []
    assert "(docs/odd_data.md)" in (PROJECT_ROOT / "README.md").read_text()
