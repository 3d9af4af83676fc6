"""The pages as one file that needs no network."""

import base64
import datetime
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from python_ml.console.progress import progress
from python_ml.exceptions import NotEnoughDataError
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.snapshot import SnapshotReader
from python_ml.web.assemble import Assembled, assemble
from python_ml.web.choosing import choose, read_symbols
from python_ml.web.content import Choice, Page
from python_ml.web.kept import KeptAnswers, KeptReader, State
from python_ml.web.pages import (
    data,
    drift,
    ensembles,
    forecasts,
    overview,
    track_record,
)
from python_ml.web.queries.overview import LATEST
from python_ml.web.relations import Relations, readable_relations
from python_ml.web.render import STATIC, environment, plotly_script

MAX_BYTES = 6_000_000
# Symbols of a report that was not told which; fewer where the file is too big.
N_SYMBOLS = 6


@dataclass(frozen=True, slots=True)
class Chapter:
    """One page of the report for one choice."""

    name: str
    title: str
    choice: Choice
    sections: list[Assembled]


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """What was written.

    Parameters
    ----------
    path : Path
    n_bytes : int
    symbols : tuple of str
        That have a chapter.
    n_left_out : int
        Symbols without one.
    failed : tuple of str
        Sections that say that they failed.
    """

    path: Path
    n_bytes: int
    symbols: tuple[str, ...]
    n_left_out: int
    failed: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "path": str(self.path),
            "bytes": self.n_bytes,
            "symbols": list(self.symbols),
            "symbols_left_out": self.n_left_out,
            "failed_sections": list(self.failed),
        }

    def to_text(self) -> str:
        """Where it is and what is not in it."""
        lines = [f"{self.path}: {self.n_bytes / 1e6:.1f} MB."]
        if self.symbols:
            left = (
                f" {self.n_left_out} more are left out; name those you want "
                "with --symbols."
                if self.n_left_out
                else ""
            )
            lines.append(f"Symbols: {', '.join(self.symbols)}.{left}")
        if self.failed:
            lines.append(f"Failed sections: {', '.join(self.failed)}.")
        return "\n".join(lines)


def write_report(
    warehouse: Warehouse,
    path: Path,
    *,
    symbols: Sequence[str] | None = None,
    now: datetime.datetime | None = None,
) -> ReportSummary:
    """Write the pages of a warehouse to one file under 6 MB.

    Parameters
    ----------
    warehouse : Warehouse
    path : Path
        Its folder is made.
    symbols : sequence of str, optional
        That get a chapter; by default those whose forecasts say most.
    now : datetime, optional
        By default the clock.

    Raises
    ------
    UnknownSeriesError
        If a symbol is none of the warehouse's.
    NotEnoughDataError
        If the symbols asked for do not fit.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    with SnapshotReader(warehouse) as snapshot:
        relations = readable_relations(snapshot)
        # Of one moment, however many chapters ask.
        reader = KeptReader(
            snapshot, KeptAnswers(lambda: now), State("this report")
        )
        known = tuple(read_symbols(reader, relations)["ticker"])
        wanted = (
            tuple(symbols)
            if symbols
            else _most_telling(reader, relations, known)
        )
        while True:
            chapters = list(_chapters(reader, relations, wanted, now))
            body = render_report(chapters, wanted, now).encode()
            if len(body) < MAX_BYTES:
                break
            if symbols:
                raise NotEnoughDataError(
                    f"A report on {len(wanted)} symbols is "
                    f"{len(body) / 1e6:.1f} MB, of which 6 fit into a mail. "
                    "Name fewer with --symbols."
                )
            wanted = wanted[: len(wanted) // 2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    failed = tuple(
        f"{chapter.title}: {found.section.title}"
        for chapter in chapters
        for found in chapter.sections
        if found.failure is not None
    )
    return ReportSummary(
        path, len(body), wanted, len(set(known) - set(wanted)), failed
    )


def _most_telling(
    reader: KeptReader, relations: Relations, known: Sequence[str]
) -> tuple[str, ...]:
    """Symbols whose newest forecasts say most beyond climatology."""
    if LATEST.relations - relations:
        return tuple(known[:N_SYMBOLS])
    ordered = [*reader.read(LATEST)["ticker"], *known]
    return tuple(dict.fromkeys(ordered))[:N_SYMBOLS]


def _chapters(
    reader: KeptReader,
    relations: Relations,
    symbols: Sequence[str],
    now: datetime.datetime,
) -> Iterator[Chapter]:
    """Chapters in order: the overview, each symbol, then what all share."""

    def chapter(page: Page, title: str, **wanted: str) -> Chapter:
        offer = choose(reader, page, wanted, relations, now=now)
        return Chapter(
            "-".join([page.key or "overview", *map(_slug, wanted.values())]),
            title,
            offer.choice,
            assemble(reader, page, offer.choice, relations),
        )

    yield chapter(overview.PAGE, "Overview")
    for symbol in progress(symbols, total=len(symbols), description="symbols"):
        offer = choose(
            reader, forecasts.PAGE, {"symbol": symbol}, relations, now=now
        )
        for timeframe in offer.timeframes or (None,):
            wanted = {"symbol": symbol}
            if timeframe:
                wanted["timeframe"] = timeframe
            yield chapter(forecasts.PAGE, " ".join(wanted.values()), **wanted)
    first = {"symbol": symbols[0]} if symbols else {}
    for page in (track_record.PAGE, drift.PAGE, ensembles.PAGE, data.PAGE):
        title = page.title
        yield chapter(page, title, **first)


def _slug(text: str) -> str:
    """A name for an address within the file, the same for the same text."""
    plain = "".join(sign if sign.isalnum() else "-" for sign in text.lower())
    if plain == text.lower():
        return plain
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def render_report(
    chapters: Sequence[Chapter],
    symbols: Sequence[str],
    now: datetime.datetime,
) -> str:
    """The file: the pages' templates with styles and scripts inside.

    Scripts are named in a policy by their digests, so that no other runs and
    nothing is loaded.
    """
    scripts = [
        (STATIC / "theme.js").read_text(),
        plotly_script(),
        (STATIC / "page.js").read_text(),
    ]
    for script in scripts:
        if "</script" in script.lower():
            raise NotEnoughDataError("A script would end its own element.")
    style = (STATIC / "style.css").read_text()
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_source, scripts))}; "
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    shown = ", ".join(symbols) or "no symbol yet"
    return (
        environment()
        .get_template("report.html")
        .render(
            chapters=chapters,
            scripts=[Markup(script) for script in scripts],
            style=Markup(style),
            policy=policy,
            intro=f"Forecasts of {shown}, and how good they have been.",
            now=now,
            page=None,
            pages=(),
        )
    )


def _source(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
