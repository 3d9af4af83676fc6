"""From a page and a choice to sections that hold blocks, or say why not."""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from python_ml.console.logs import get_logger, log_event
from python_ml.warehouse.errors import translate_database_error
from python_ml.web.content import (
    Block,
    Choice,
    Empty,
    Page,
    Query,
    Section,
)
from python_ml.web.kept import KeptReader
from python_ml.web.relations import Relations

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Assembled:
    """A section with what it shows.

    Parameters
    ----------
    section : Section
    blocks : tuple of Block
        Empty where there is nothing to show.
    empty : Empty or None
        Why there is nothing.
    failure : str or None
        What went wrong; the other sections stand.
    """

    section: Section
    blocks: tuple[Block, ...] = ()
    empty: Empty | None = None
    failure: str | None = None


def assemble(
    reader: KeptReader,
    page: Page,
    choice: Choice,
    relations: Relations,
    *,
    only: Iterable[str] | None = None,
) -> list[Assembled]:
    """Ask for what the sections of a page need and build them.

    Parameters
    ----------
    reader : KeptReader
    page : Page
    choice : Choice
    relations : frozenset of (str, str)
        Those that can be read.
    only : iterable of str, optional
        Keys of the sections wanted; by default all.

    Returns
    -------
    list of Assembled
        In the page's order. A query that several sections name is asked once.
    """
    wanted = None if only is None else set(only)
    answers: dict[str, pd.DataFrame | Exception] = {}
    assembled = []
    for section in page.sections(choice):
        if wanted is None or section.key in wanted:
            assembled.append(
                _assemble_section(reader, section, choice, relations, answers)
            )
    return assembled


def _assemble_section(
    reader: KeptReader,
    section: Section,
    choice: Choice,
    relations: Relations,
    answers: dict[str, pd.DataFrame | Exception],
) -> Assembled:
    started = time.perf_counter()
    queries = {
        name: query.readable(relations)
        for name, query in section.queries.items()
    }
    missing = {
        relation
        for query in queries.values()
        for relation in query.relations - relations
    }
    if missing:
        names = ", ".join(
            sorted(f"{schema}.{name}" for schema, name in missing)
        )
        return Assembled(
            section,
            empty=Empty(
                f"Nothing yet: {names} is not there, or not for this login.",
                section.command,
            ),
        )
    try:
        frames = {
            name: _answer(reader, query, choice, answers)
            for name, query in queries.items()
        }
        content = section.build(frames, choice)
    except Exception as error:
        # Whatever it is, the reader is better off with the other sections.
        known = translate_database_error(error) or error
        log_event(
            logger,
            "section_failed",
            section=section.key,
            error=type(error).__name__,
        )
        return Assembled(section, failure=_told(known))
    log_event(
        logger,
        "section_assembled",
        level=10,
        section=section.key,
        milliseconds=round((time.perf_counter() - started) * 1000),
    )
    if isinstance(content, Empty):
        return Assembled(section, empty=content)
    return Assembled(section, blocks=content)


def _told(error: Exception) -> str:
    """What went wrong without the query, which is in the log of the server."""
    text = " ".join(str(error).split())
    return re.sub(r" LINE \d+: .*? SQLSTATE: \w+\.", ".", text)


def _answer(
    reader: KeptReader,
    query: Query,
    choice: Choice,
    answers: dict[str, pd.DataFrame | Exception],
) -> pd.DataFrame:
    if query.text not in answers:
        try:
            answers[query.text] = reader.read(query, choice.parameters())
        except Exception as error:
            answers[query.text] = error
    found = answers[query.text]
    if isinstance(found, Exception):
        raise found
    return found
