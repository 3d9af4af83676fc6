"""The page of queries: each runs, and its answer has the columns shown."""

import importlib.util
from collections.abc import Callable
from types import ModuleType

import pandas as pd
import pytest

from python_ml.forecasting.issue import forecast
from python_ml.monitoring.drift import check_drift
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from tests.forecast_market import close_of, deploy, make_ensemble

TICKER_OF_THE_PAGE, TICKER_OF_THE_TEST = "AAPL", "AAA"


def _writer() -> ModuleType:
    path = PROJECT_ROOT / "scripts" / "write_sql_page.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


writer = _writer()
QUESTIONS = list(writer.questions(writer.PAGE.read_text()))


@pytest.fixture(scope="module")
def forecast_market(
    fresh_warehouse: Callable[..., Warehouse], market_database: str
) -> Warehouse:
    """A market with a few forecasts, settled."""
    made = fresh_warehouse(template=market_database)
    for timeframe in ("d1", "w1"):
        deploy(
            made,
            make_ensemble(
                made,
                ticker=TICKER_OF_THE_TEST,
                timeframe=timeframe,
                as_of=close_of(-30),
            ),
        )
    forecast(made, replay_from=close_of(-30).date())
    check_drift(made)
    return made


def test_every_question_of_the_page_has_its_answer():
    assert len(QUESTIONS) == 22
    assert all(answer for _, answer in QUESTIONS)


@pytest.mark.parametrize(
    ("query", "answer"),
    QUESTIONS,
    ids=[f"question_{number}" for number in range(1, len(QUESTIONS) + 1)],
)
def test_a_query_of_the_page_returns_the_columns_shown(
    forecast_market, query, answer
):
    query = query.rstrip(";").replace(TICKER_OF_THE_PAGE, TICKER_OF_THE_TEST)
    assert list(read_frame(forecast_market, query)) == (
        answer.splitlines()[0].split()
    )


def test_answers_are_written_behind_their_queries():
    page = "Why?\n\n```sql\nselect 1 as n;\n```\n\nAnd?\n"
    frame = pd.DataFrame({"n": [1]})
    once = writer.with_answers(page, lambda query: frame)
    assert once == (
        "Why?\n\n```sql\nselect 1 as n;\n```\n\n```text\nn\n1\n```\n\nAnd?\n"
    )
    assert writer.with_answers(once, lambda query: frame) == once
    assert list(writer.questions(once)) == [("select 1 as n;", "n\n1")]


def test_the_readme_links_the_page():
    assert "(docs/sql.md)" in (PROJECT_ROOT / "README.md").read_text()
