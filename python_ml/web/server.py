"""The pages over HTTP: read-only, without an address from elsewhere.

A page is read in one transaction that cannot write. What was rendered, and the
answers that it is made of, are kept until a job changes the warehouse.
"""

import contextlib
import datetime
import functools
import gzip
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from python_ml.console.logs import get_logger
from python_ml.exceptions import ServerError, UnknownSeriesError
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.errors import translate_database_error
from python_ml.warehouse.snapshot import SnapshotReader
from python_ml.web.assemble import assemble
from python_ml.web.cells import csv_text
from python_ml.web.choosing import choose
from python_ml.web.content import Page
from python_ml.web.guard import Guard
from python_ml.web.kept import (
    PAGES_BYTES,
    Kept,
    KeptAnswers,
    KeptReader,
    State,
)
from python_ml.web.pages import BY_KEY, PAGES
from python_ml.web.queries.choices import STATE
from python_ml.web.relations import Relations, readable_relations
from python_ml.web.render import (
    STATIC,
    plotly_script,
    render_message,
    render_page,
)
from python_ml.web.warming import Warmer

logger = get_logger(__name__)

LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]", "::1")
FIRST_PAGE = "overview"
# Pages made at once. More would not be ready earlier, and each takes memory and
# a connection.
N_THREADS = 4
# Of jobs that the login does not see.
UNSEEN = State("unseen", is_changing=True)
MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


@dataclass
class Site:
    """What the routes share.

    Parameters
    ----------
    warehouse : Warehouse
    clock : callable
        The time now, in UTC.
    """

    warehouse: Warehouse
    clock: Callable[[], datetime.datetime]
    _relations: tuple[State, Relations] = (UNSEEN, frozenset())

    def __post_init__(self) -> None:
        self.pages: Kept[bytes] = Kept(PAGES_BYTES)
        self.answers = KeptAnswers(self.clock)

    def page(
        self, page: Page, wanted: Mapping[str, str], address: str
    ) -> bytes:
        """A page as HTML."""
        with SnapshotReader(self.warehouse) as snapshot:
            state, relations = self._state(snapshot)
            body = self.pages.get(address, state)
            if body is None:
                reader = KeptReader(snapshot, self.answers, state)
                now = self.clock()
                offer = choose(reader, page, wanted, relations, now=now)
                sections = assemble(reader, page, offer.choice, relations)
                body = render_page(
                    page,
                    offer,
                    sections,
                    PAGES,
                    read_at=reader.oldest_at or now,
                ).encode()
                self.pages.put(address, state, body, n_bytes=len(body))
        return body

    def table(
        self, page: Page, wanted: Mapping[str, str], section: str, number: int
    ) -> str | None:
        """A table as CSV, None where there is none."""
        with SnapshotReader(self.warehouse) as snapshot:
            state, relations = self._state(snapshot)
            reader = KeptReader(snapshot, self.answers, state)
            offer = choose(reader, page, wanted, relations, now=self.clock())
            found = assemble(
                reader, page, offer.choice, relations, only=[section]
            )
        blocks = found[0].blocks if found else ()
        if not 1 <= number <= len(blocks):
            return None
        table = blocks[number - 1].table
        return None if table is None else csv_text(table)

    def state(self) -> State:
        """What jobs have done to the warehouse by now."""
        with SnapshotReader(self.warehouse) as snapshot:
            return self._state(snapshot)[0]

    def make_pages(self) -> None:
        """Make each page as it is before anything is chosen."""
        for page in PAGES:
            self.page(page, {}, f"/{page.key}?")

    def _state(self, snapshot: SnapshotReader) -> tuple[State, Relations]:
        """What the warehouse's jobs have done, and what there is to read."""
        known, relations = self._relations
        state = _read_state(snapshot, relations)
        if state != known or state == UNSEEN:
            relations = readable_relations(snapshot)
            state = _read_state(snapshot, relations)
            self._relations = (state, relations)
        return state, relations


def _read_state(snapshot: SnapshotReader, relations: Relations) -> State:
    """The state where the login may see it."""
    if STATE.relations - relations:
        return UNSEEN
    row = snapshot.read(STATE.text).iloc[0]
    return State(str(row["state"]), bool(row["is_changing"]))


def make_app(
    warehouse: Warehouse,
    *,
    token: str | None = None,
    hosts: Iterable[str] = LOCAL_HOSTS,
    clock: Callable[[], datetime.datetime] | None = None,
    is_warmed: bool = False,
) -> Starlette:
    """The pages as an application.

    Parameters
    ----------
    warehouse : Warehouse
    token : str, optional
        What readers have to know; by default nothing.
    hosts : iterable of str
        Names under which it may be asked for; `*` for any.
    clock : callable, optional
        By default the real one.
    is_warmed : bool, default=False
        Whether pages are made as soon as a job has ended, not when somebody
        asks.
    """
    site = Site(
        warehouse, clock or (lambda: datetime.datetime.now(datetime.UTC))
    )

    routes = [
        Route("/static/{name}", static),
        Route(
            "/csv/{page}/{section}/{number:int}",
            _guarded(functools.partial(_csv, site)),
        ),
        Route("/", _guarded(functools.partial(_show, site))),
        Route("/{page}", _guarded(functools.partial(_show, site))),
    ]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(Guard, token=token),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)),
            Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5),
        ],
        exception_handlers={404: _missing},
        lifespan=functools.partial(_life, site, is_warmed=is_warmed),
    )


@contextlib.asynccontextmanager
async def _life(
    site: Site, app: Starlette, *, is_warmed: bool
) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = N_THREADS
    warmer = Warmer(site.state, site.make_pages)
    if is_warmed:
        warmer.start()
    yield
    if is_warmed:
        warmer.stop()


def _show(site: Site, request: Request) -> Response:
    page = _page(request)
    address = f"{request.url.path}?{request.url.query}"
    body = site.page(page, request.query_params, address)
    return Response(body, media_type="text/html")


def _csv(site: Site, request: Request) -> Response:
    page = _page(request)
    section, number = (
        request.path_params["section"],
        request.path_params["number"],
    )
    text = site.table(page, request.query_params, section, number)
    if text is None:
        raise HTTPException(404)
    name = f"{page.key or FIRST_PAGE}-{section}-{number}.csv"
    return Response(
        text,
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _page(request: Request) -> Page:
    name = request.path_params.get("page", "")
    page = BY_KEY.get("" if name == FIRST_PAGE else name)
    if page is None:
        raise HTTPException(404)
    return page


def _guarded(
    answer: Callable[[Request], Response],
) -> Callable[[Request], Response]:
    """Turn what may go wrong with a page into one that says so."""

    def guarded(request: Request) -> Response:
        try:
            return answer(request)
        except HTTPException:
            raise
        except UnknownSeriesError as error:
            return _message("Not here", str(error), 404)
        except Exception as error:
            known = translate_database_error(error)
            if known is None:
                logger.exception("event=page_failed")
                return _message(
                    "This page failed",
                    "The log of the dashboard says more; other pages may "
                    "stand.",
                    500,
                )
            status = 503 if isinstance(known, ServerError) else 500
            return _message("The warehouse cannot be read", str(known), status)

    return guarded


def _missing(request: Request, error: Exception) -> Response:
    return _message(
        "No such page", f"There is nothing at {request.url.path[:200]}.", 404
    )


def _message(title: str, text: str, status: int) -> Response:
    return Response(
        render_message(title, text, PAGES),
        status_code=status,
        media_type="text/html",
    )


@functools.cache
def _static_body(name: str) -> tuple[bytes, bytes]:
    """A file of ours, plain and compressed."""
    if name == "plotly.min.js":
        plain = plotly_script().encode()
    else:
        plain = (STATIC / name).read_bytes()
    return plain, gzip.compress(plain, 6, mtime=0)


def static(request: Request) -> Response:
    """A script, the style sheet or the icon."""
    name = request.path_params["name"]
    known = {path.name for path in STATIC.iterdir()} | {"plotly.min.js"}
    if name not in known:
        raise HTTPException(404)
    plain, compressed = _static_body(name)
    is_small = "gzip" in request.headers.get("accept-encoding", "")
    headers = {
        # Its address changes with it.
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
    }
    if is_small:
        headers["Content-Encoding"] = "gzip"
    return Response(
        compressed if is_small else plain,
        media_type=MEDIA_TYPES[f".{name.rpartition('.')[2]}"],
        headers=headers,
    )
