"""Pages that are made before they are asked for, once a job has ended."""

import time
from collections.abc import Callable
from threading import Event, Thread

from python_ml.console.logs import get_logger, log_event
from python_ml.web.kept import LONG_SECONDS, State

logger = get_logger(__name__)

LOOK_SECONDS = 5


class Warmer:
    """Looks in a thread whether a job has ended, and makes the pages anew.

    Readers who come in between wait for the answers that it has asked for
    already; nobody is shown what was before.

    Parameters
    ----------
    read_state : callable
        The state of the warehouse.
    make : callable
        Makes the pages.
    look_seconds : float, default=5
        Between two looks.
    """

    def __init__(
        self,
        read_state: Callable[[], State],
        make: Callable[[], None],
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.read_state = read_state
        self.make = make
        self.look_seconds = look_seconds
        self._made_for: State | None = None
        self._made_at = 0.0
        self._is_over = Event()
        self._thread = Thread(target=self._run, name="warmer", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; what is being made may still end."""
        self._is_over.set()
        self._thread.join(1)

    def look(self) -> bool:
        """Look once, and say whether the pages were made.

        Not while a job runs, which would have to be done again at its end.
        """
        state = self.read_state()
        is_old = time.monotonic() - self._made_at > LONG_SECONDS
        if state.is_changing or (state == self._made_for and not is_old):
            return False
        self._made_for, self._made_at = state, time.monotonic()
        self.make()
        return True

    def _run(self) -> None:
        while not self._is_over.wait(self.look_seconds):
            try:
                self.look()
            except Exception as error:
                # The next reader is told; the server may be back by then.
                log_event(
                    logger,
                    "warming_failed",
                    level=10,
                    error=type(error).__name__,
                )
