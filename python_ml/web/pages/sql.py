"""The queries of `docs/sql.md`, one of them with its live answer."""

import functools
import re
from dataclasses import dataclass

from python_ml.settings import PROJECT_ROOT
from python_ml.web.content import (
    Block,
    Choice,
    Content,
    Frames,
    Page,
    Query,
    Section,
    Table,
)
from python_ml.web.pages.shared import inferred_columns

DOCUMENT = PROJECT_ROOT / "docs" / "sql.md"
SYMBOL_OF_THE_DOCUMENT = "AAPL"
SCHEMAS = ("raw", "ml", "features", "forecasting", "monitoring")

_BLOCK = re.compile(
    r"```sql\n(?P<query>.*?)\n```\n(?:\n```text\n.*?\n```\n)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Question:
    """A query of the document with the question that it answers."""

    number: int
    text: str
    query: str

    def shown(self, symbol: str) -> str:
        """The query for another symbol, to be copied."""
        quoted = symbol.replace("'", "''")
        return self.query.replace(f"'{SYMBOL_OF_THE_DOCUMENT}'", f"'{quoted}'")

    def asked(self) -> Query:
        """The query as the page asks it: the symbol is a parameter."""
        text = self.query.rstrip(";").replace(
            f"'{SYMBOL_OF_THE_DOCUMENT}'", ":symbol"
        )
        names = "|".join(SCHEMAS)
        return Query(re.sub(rf"\b({names})\.(?=[a-z])", r"{\1}.", text))


@functools.cache
def questions() -> tuple[Question, ...]:
    """All questions of the document, in order."""
    document = DOCUMENT.read_text()
    found = []
    end = 0
    for number, block in enumerate(_BLOCK.finditer(document), 1):
        paragraph = document[end : block.start()].strip().split("\n\n")[-1]
        # What follows the question explains the answer of the document.
        text = " ".join(paragraph.split()).partition("?")[0] + "?"
        found.append(Question(number, text, block["query"]))
        end = block.end()
    return tuple(found)


def _answered(question: Question) -> Section:
    def build(frames: Frames, choice: Choice) -> Content:
        answer = frames["answer"]
        code = question.shown(choice.symbol or SYMBOL_OF_THE_DOCUMENT)
        if answer.empty:
            return (
                Block(code=code, notes=("It finds no row at the moment.",)),
            )
        return (
            Block(
                code=code,
                table=Table(
                    answer,
                    inferred_columns(answer),
                    "What it answers just now",
                    at_most=40,
                ),
            ),
        )

    return Section(
        "answer",
        f"{question.number}. {question.text}",
        {"answer": question.asked()},
        build,
    )


def _sections(choice: Choice) -> tuple[Section, ...]:
    """The one that was asked."""
    found = questions()
    number = choice.question if choice.question <= len(found) else 1
    return (_answered(found[number - 1]),)


PAGE = Page(
    "sql",
    "SQL",
    "Questions with the query that answers each, to be asked here or taken "
    "along.",
    ("symbol", "question"),
    _sections,
)
