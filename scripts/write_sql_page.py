"""Write the answers of the demo's warehouse into `docs/sql.md`.

    scripts/demo
    .venv/bin/python scripts/write_sql_page.py

Every query of the page is run and what it returns stands in the block behind
it.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from python_ml.console.text_tables import to_text
from python_ml.settings import load_settings
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import open_warehouse

PAGE = Path(__file__).parents[1] / "docs" / "sql.md"

_BLOCK = re.compile(
    r"```sql\n(?P<query>.*?)\n```\n(?:\n```text\n(?P<answer>.*?)\n```\n)?",
    re.DOTALL,
)


def questions(page: str) -> Iterator[tuple[str, str | None]]:
    """Each query of a page, and the answer behind it if there is one."""
    for block in _BLOCK.finditer(page):
        yield block["query"], block["answer"]


def with_answers(page: str, ask: Callable[[str], pd.DataFrame]) -> str:
    """A page with what `ask` returns of each query behind it."""

    def answered(block: re.Match[str]) -> str:
        answer = as_text(ask(block["query"]))
        return f"```sql\n{block['query']}\n```\n\n```text\n{answer}\n```\n"

    return _BLOCK.sub(answered, page)


def as_text(frame: pd.DataFrame) -> str:
    """Table with the columns of a frame, in order."""
    return to_text(frame, columns={str(name): str(name) for name in frame})


def main() -> None:
    """Write the page."""
    page = PAGE.read_text()
    with open_warehouse(load_settings()) as warehouse:
        page = with_answers(
            page, lambda query: read_frame(warehouse, query.rstrip(";"))
        )
    PAGE.write_text(page)
    print(f"{PAGE.name}: {len(list(questions(page)))} answers.")


if __name__ == "__main__":
    main()
