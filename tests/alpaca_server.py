"""A local server that speaks Alpaca's market data, faults included."""

import contextlib
import json
import socket
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pandas as pd
import pytest

BARS = "/v2/stocks/bars"
# Winter and summer time, a holiday between.
DAYS = ("2024-03-07", "2024-03-08", "2024-03-11", "2024-03-12")

KEY_ID, SECRET_KEY = "PKTESTKEYID", "topsecretkey"
NEW_YORK = "America/New_York"
# What its basic plan says of the newest bars.
NO_RECENT_BARS = {
    "message": "subscription does not permit querying recent SIP data"
}


class AlpacaServer(ThreadingHTTPServer):
    """Serves what its attributes hold.

    Attributes
    ----------
    bars : dict of (str, str) to list of dict
        By symbol and timeframe ("1Day"), in order.
    actions : dict of str to list of dict
        By kind ("forward_splits").
    page_size : int
        At most so many rows a page, whatever is asked for.
    has_recent_bars : bool
        Whether the account may read the newest consolidated bars.
    faults : deque
        What is done in place of the next answers: a status, a status with
        headers and body, "hang", "hang in body", "cut", bytes to send as the
        body, or None for the true answer; the last stands for ever when
        `fault_stays`.
    queries : list of dict
        What was asked for, `path` included.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.released = threading.Event()
        self.reset()

    def reset(self):
        self.bars, self.actions = {}, {}
        self.page_size = 10_000
        self.has_recent_bars = True
        self.refused_symbols = set()
        self.faults, self.fault_stays = deque(), False
        self.queries = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def queries_of(self, path):
        return [query for query in self.queries if query["path"] == path]

    def handle_error(self, request, client_address):
        """A client that has gone is no news."""

    def next_fault(self):
        if not self.faults:
            return None
        if self.fault_stays and len(self.faults) == 1:
            return self.faults[0]
        return self.faults.popleft()

    def answer(self, query):
        """Status and body of a request that meets no fault."""
        symbols = query["symbols"].split(",")
        for symbol in symbols:
            if symbol in self.refused_symbols:
                return 400, {"message": f"invalid symbol: {symbol}"}
        if query["path"] == "/v2/stocks/bars":
            end = datetime.fromisoformat(query["end"])
            is_recent = end > datetime.now(UTC) - timedelta(minutes=15)
            is_free = query["feed"] == "iex" or self.has_recent_bars
            if is_recent and not is_free:
                return 403, NO_RECENT_BARS
            key, rows = "bars", self._bars(query, symbols)
        else:
            key, rows = "corporate_actions", self._actions(query, symbols)
        first = int(query.get("page_token", "0"))
        last = first + min(self.page_size, int(query["limit"]))
        page = {}
        for name, row in rows[first:last]:
            page.setdefault(name, []).append(row)
        token = str(last) if last < len(rows) else None
        return 200, {key: page, "next_page_token": token}

    def _bars(self, query, symbols):
        start, end = (pd.Timestamp(query[name]) for name in ("start", "end"))
        return [
            (symbol, bar)
            for symbol in sorted(symbols)
            for bar in self.bars.get((symbol, query["timeframe"]), [])
            if not is_time(bar["t"]) or start <= pd.Timestamp(bar["t"]) <= end
        ]

    def _actions(self, query, symbols):
        return [
            (kind, action)
            for kind, actions in self.actions.items()
            for action in actions
            if kind.removesuffix("s") in query["types"].split(",")
            and {action.get("symbol"), action.get("source_symbol")} & {*symbols}
            and query["start"] <= action["process_date"] <= query["end"]
        ]


def is_time(value):
    return isinstance(value, str) and value.endswith("Z")


class Handler(BaseHTTPRequestHandler):
    """Answers one request, or fails as it is told to."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Say nothing."""

    def do_GET(self):
        url = urlsplit(self.path)
        query = {**dict(parse_qsl(url.query)), "path": url.path}
        self.server.queries.append(query)
        fault = self.server.next_fault()
        keys = (
            self.headers["APCA-API-KEY-ID"],
            self.headers["APCA-API-SECRET-KEY"],
        )
        if fault == "hang":
            self.server.released.wait(30)
        elif fault in ("cut", "hang in body"):
            self._send(200, {}, b'{"bars": {', length=1000)
            if fault == "hang in body":
                self.server.released.wait(30)
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif isinstance(fault, bytes):
            self._send(200, {}, fault)
        elif isinstance(fault, int):
            self._send(fault, {}, json.dumps({"message": "fault"}).encode())
        elif isinstance(fault, tuple):
            status, headers, body = fault
            self._send(status, headers, json.dumps(body).encode())
        elif keys != (KEY_ID, SECRET_KEY):
            self._send(401, {}, b'{"message": "unauthorized."}')
        else:
            status, body = self.server.answer(query)
            self._send(status, {}, json.dumps(body).encode())

    def _send(self, status, headers, body, length=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


@contextlib.contextmanager
def running_server() -> Iterator[AlpacaServer]:
    """Run a server on a free port; requests that hang end with it."""
    server = AlpacaServer()
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}
    )
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def bar(time, close=100.0, **changes):
    """A bar as the service sends it."""
    return {
        "t": time,
        "o": close,
        "h": close + 1,
        "l": close - 1,
        "c": close,
        "v": 1000,
        "n": 10,
        "vw": close,
    } | changes


def daily_bars(days, first_close=100.0):
    """Daily bars, stamped at midnight of New York, each one dearer."""
    stamps = pd.DatetimeIndex(days).tz_localize(NEW_YORK).tz_convert("UTC")
    return [
        bar(f"{stamp:%Y-%m-%dT%H:%M:%SZ}", first_close + number)
        for number, stamp in enumerate(stamps)
    ]


def quarters(first, last):
    """Bars of a quarter of an hour from the first open to the last, in UTC."""
    return [
        bar(f"{time:%Y-%m-%dT%H:%M:%SZ}", 100.0 + number / 10)
        for number, time in enumerate(pd.date_range(first, last, freq="15min"))
    ]


@pytest.fixture(scope="module")
def running():
    with running_server() as server:
        yield server


@pytest.fixture
def server(running):
    running.reset()
    return running
