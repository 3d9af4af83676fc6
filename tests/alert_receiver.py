"""A local HTTP server that takes alerts, or fails as it is told to."""

import contextlib
import json
import socket
import threading
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent.

    Attributes
    ----------
    messages : list of dict
        Bodies that it took, in order.
    n_requests : int
        Also those that it failed.
    faults : deque
        What is done in place of taking the next ones: a status, "hang", "cut"
        (before an answer), "cut body" (behind the status 200), "take and
        hang", or None; the last stands while `fault_stays`.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.released = threading.Event()
        self.reset()

    def reset(self):
        self.messages, self.n_requests = [], 0
        self.faults, self.fault_stays = deque(), False

    @property
    def address(self):
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A client that has gone is no news."""

    def next_fault(self):
        if not self.faults:
            return None
        if self.fault_stays and len(self.faults) == 1:
            return self.faults[0]
        return self.faults.popleft()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Say nothing."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.n_requests += 1
        fault = self.server.next_fault()
        if fault == "hang":
            self.server.released.wait(30)
        elif fault == "take and hang":
            self.server.messages.append(json.loads(body))
            self.server.released.wait(30)
        elif fault == "cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif fault == "cut body":
            self.server.messages.append(json.loads(body))
            self._answer(200, b"o", length=1000)
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif isinstance(fault, int):
            self._answer(fault, b"fault")
        else:
            self.server.messages.append(json.loads(body))
            self._answer(200, b"ok")

    def _answer(self, status, body, length=None):
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", f"http://{self.server.address}/else")
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


@contextlib.contextmanager
def running_receiver() -> Iterator[Receiver]:
    """Run one on a free port; requests that hang end with it."""
    receiver = Receiver()
    thread = threading.Thread(
        target=receiver.serve_forever, kwargs={"poll_interval": 0.01}
    )
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        receiver.shutdown()
        receiver.server_close()
        thread.join()
