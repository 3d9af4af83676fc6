"""Ending on a signal: soon, with the server's query, and on record.

A blocking call of a database driver returns to Python only when it is done, so
a handler of signals would wait for a query of minutes. Here a thread hears of
the signal at once and cancels what was put into its care; then the main thread
goes on, and is told of the signal as of Ctrl-C. Where it does not come back to
Python in time, what was to be said last is said for it.
"""

import _thread
import contextlib
import ctypes
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# From the signal to the end of a process that does not return to Python.
PATIENCE_SECONDS = 8.0
CANCEL_SECONDS = 0.5

# Things with a method that ends what they wait for, callable in any thread.
_cancels: "weakref.WeakKeyDictionary[Any, str]" = weakref.WeakKeyDictionary()
_last_words: list[Callable[[str], None]] = []
_lock = threading.Lock()


class Ended(KeyboardInterrupt):
    """The process was asked to end.

    Parameters
    ----------
    number : int
        Of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"Ended by {signal.Signals(number).name}.")

    @property
    def exit_status(self) -> int:
        """As a shell tells it."""
        return 128 + self.number


def cancel_on_end(connection: Any, method: str) -> None:
    """Have a method of a connection called when the process is to end.

    Parameters
    ----------
    connection : object
        Forgotten when nobody else holds it.
    method : str
        Ends what it waits for; called in another thread.
    """
    with _lock, contextlib.suppress(TypeError):
        _cancels[connection] = method


@contextlib.contextmanager
def last_words(say: Callable[[str], None]) -> Iterator[None]:
    """Have something said if the main thread cannot say it itself any more.

    Parameters
    ----------
    say : callable
        Of what ended the process; called in another thread.
    """
    _last_words.append(say)
    try:
        yield
    finally:
        _last_words.remove(say)


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """Raise `Ended` in the main thread on SIGINT, SIGTERM and SIGHUP.

    A signal that is ignored, as by `nohup`, or has another handler keeps it.
    In a thread that is not the main one nothing is changed.
    """
    numbers = [
        number
        for number in SIGNALS
        if signal.getsignal(number)
        in (signal.SIG_DFL, signal.default_int_handler)
    ]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    if not numbers:
        yield
        return
    is_raised = threading.Event()

    def end(number: int, _frame: FrameType | None) -> None:
        is_raised.set()
        raise Ended(number)

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    thread = threading.Thread(
        target=_listen, args=(reader, is_raised), name="signals", daemon=True
    )
    before = {number: signal.signal(number, end) for number in numbers}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)
        thread.join()
        os.close(reader)


def interrupt_main() -> None:
    """Have `KeyboardInterrupt` raised in the main thread, by another one.

    Also where SIGINT is ignored, as in what a script starts with `&`: the
    exception is then set, for the main thread to find when it is in Python.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        _thread.interrupt_main()
        return
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(threading.main_thread().ident or 0),
        ctypes.py_object(KeyboardInterrupt),
    )
    _cancel_all()


def _listen(reader: int, is_raised: threading.Event) -> None:
    """Wait for a signal, and see to it that the main thread hears of it."""
    while heard := os.read(reader, 1):
        if heard[0] not in SIGNALS:
            continue
        deadline = time.monotonic() + PATIENCE_SECONDS
        # The main thread cleans up then, which needs its queries.
        while not is_raised.wait(0.05):
            _cancel_all()
            is_raised.wait(CANCEL_SECONDS)
            if time.monotonic() > deadline:
                _end_at_once(heard[0])


def _cancel_all() -> None:
    with _lock:
        found = list(_cancels.items())
    for connection, method in found:
        with contextlib.suppress(Exception):
            getattr(connection, method)()


def _end_at_once(number: int) -> None:
    for say in reversed(_last_words):
        with contextlib.suppress(Exception):
            say(str(Ended(number)))
    os._exit(128 + number)
