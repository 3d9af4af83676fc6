"""Templates, filled in. Everything is escaped; only our own markup is not."""

import datetime
import functools
import hashlib
import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from python_ml.exceptions import SettingsError
from python_ml.web.assemble import Assembled
from python_ml.web.cells import Cell, exchange_time, table_view
from python_ml.web.choosing import Offer, address
from python_ml.web.content import Figure, Page
from python_ml.web.pages.sql import questions

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
# Text of more characters may take several lines; of still more it is folded.
LONG_TEXT = 40
FOLDED_TEXT, FOLDED_FROM = 240, 160


@functools.cache
def environment() -> Environment:
    """The templates, with what they call."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        figure_json=figure_json,
        row_markup=row_markup,
        table_view=table_view,
        address=address,
        exchange_time=exchange_time,
        plotly_style_ids=plotly_style_ids,
        questions=questions,
        asset=asset,
    )
    return made


def figure_json(figure: Figure) -> Markup:
    r"""A figure for a data block of a page.

    No text can end the block: `<` and `&` are written as numbers.

    Examples
    --------
    >>> print(figure_json(Figure([{"name": "</script>"}], {}, "")))
    {"data":[{"name":"\u003c/script\u003e"}],"layout":{},"height":320}
    """
    text = json.dumps(
        {"data": figure.data, "layout": figure.layout, "height": figure.height},
        allow_nan=False,
        separators=(",", ":"),
    )
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def row_markup(row: Sequence[Cell], is_linked: bool) -> Markup:
    """A row of a table.

    Not in a template: a page has a thousand cells, and a macro called for each
    was a third of its time. All text is escaped here.

    Examples
    --------
    >>> print(row_markup([Cell("<b>", False), Cell("0.5", True)], True))
    <tr><td>&lt;b&gt;</td><td class="number">0.5</td></tr>
    """
    return Markup(f"<tr>{''.join([_td(cell, is_linked) for cell in row])}</tr>")


def _td(cell: Cell, is_linked: bool) -> str:
    text = escape(cell.text)
    if cell.is_number:
        return f'<td class="number">{text}</td>'
    if cell.kind == "symbol" and is_linked and cell.value:
        link = f"/forecasts?symbol={quote(cell.value)}"
        return f'<td><a href="{escape(link)}">{text}</a></td>'
    if cell.kind == "time":
        beside = f" <small>{escape(cell.beside)}</small>" if cell.beside else ""
        return f'<td><span class="time">{text}{beside}</span></td>'
    if cell.tone:
        return f'<td><span class="tone {cell.tone}">{text}</span></td>'
    if len(cell.text) > FOLDED_TEXT:
        head, rest = cell.text[:FOLDED_FROM], cell.text[FOLDED_FROM:]
        text = Markup("<details><summary>{} …</summary>{}</details>").format(
            head, rest
        )
    if len(cell.text) > LONG_TEXT and cell.kind in ("text", "json", "verdict"):
        return f'<td class="long"><div>{text}</div></td>'
    return f"<td>{text}</td>"


def render_page(
    page: Page,
    offer: Offer,
    sections: Sequence[Assembled],
    pages: Sequence[Page],
    *,
    read_at: datetime.datetime,
) -> str:
    """A page of the server, with the time at which its oldest part was read."""

    def csv_of(section: str, number: int) -> str:
        name = page.key or "overview"
        query = address(page, offer.choice).partition("?")[2]
        path = f"/csv/{name}/{section}/{number}"
        return f"{path}?{query}" if query else path

    def more_of(part: str) -> str:
        name, _, value = part.partition("=")
        return address(page, offer.choice, **{name: value})

    return (
        environment()
        .get_template("page.html")
        .render(
            page=page,
            offer=offer,
            choice=offer.choice,
            sections=sections,
            pages=pages,
            read_at=read_at,
            csv_of=csv_of,
            more_of=more_of,
        )
    )


def render_message(title: str, text: str, pages: Sequence[Page]) -> str:
    """A page that says what went wrong."""
    return (
        environment()
        .get_template("message.html")
        .render(title=title, text=text, pages=pages, page=None)
    )


def plotly_script() -> str:
    """Plotly's script, of its Python package."""
    # Found, not imported: the import costs half a second and gives no more.
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError(
            "The pages need Plotly, which is not installed. Install the extra: "
            "python -m pip install 'swiftbolt-ml[web]'"
        )
    folder = Path(spec.submodule_search_locations[0]) / "package_data"
    return (folder / "plotly.min.js").read_text(encoding="utf-8")


@functools.cache
def plotly_style_ids() -> tuple[str, ...]:
    """Names under which Plotly would add style elements of its own.

    A page that forbids inline styles holds empty elements of these names, so
    that it leaves them alone; ours are in the style sheet.
    """
    return tuple(
        sorted(
            set(
                re.findall(
                    r'getElementById\("([0-9a-f]{64})"\)', plotly_script()
                )
            )
        )
    )


@functools.cache
def _digest(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


@functools.cache
def _plotly_version() -> str:
    from importlib.metadata import version

    return version("plotly")


def asset(name: str) -> str:
    """Address of a file of ours, which changes with it."""
    tag = _plotly_version() if name == "plotly.min.js" else _digest(name)
    return f"/static/{name}?v={tag}"
