"""HTTP requests that wait for an answer, but not for ever."""

import logging
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    ContentDecodingError,
    RetryError,
    SSLError,
    Timeout,
)

from python_ml.console.logs import get_logger, log_event

TOO_MANY_REQUESTS = 429
REQUEST_TIMEOUT = 408
SERVER_ERRORS = range(500, 600)
# What another attempt can mend; a wrong certificate it cannot.
PASSING_FAULTS = (
    ChunkedEncodingError,
    ConnectionError,
    ContentDecodingError,
    Timeout,
)

logger = get_logger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long and how often a request is tried.

    Parameters
    ----------
    attempts : int, default=7
        With the other defaults, about a minute passes before the last one.
    timeout_seconds : float, default=30.0
        For the connection, and for each silence while an answer comes.
    first_wait_seconds : float, default=1.0
        Before the second attempt; each further wait is twice as long, less a
        random part of up to a half, so that clients do not come back together.
    longest_wait_seconds : float, default=120.0
        A server that asks for more is not asked again.
    """

    attempts: int = 7
    timeout_seconds: float = 30.0
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 120.0


class PatientAdapter(HTTPAdapter):
    """Gives each request a timeout and tries again what may pass.

    Tried again are 408, 429 and 5xx, timeouts, refused and cut connections.
    A wait that the server asks for, by `Retry-After` or with 429 by
    `X-RateLimit-Reset`, is kept; else waits grow exponentially. The answer is
    read whole here, so that one cut in its middle is tried again, too.

    Parameters
    ----------
    patience : Patience

    Examples
    --------
    >>> session = requests.Session()
    >>> session.mount("https://", PatientAdapter(Patience(attempts=3)))
    """

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self.patience = patience

    def send(
        self, request: requests.PreparedRequest, *arguments: Any, **options: Any
    ) -> requests.Response:
        """Send a request until it is answered.

        Raises
        ------
        requests.RetryError
            With the last response, if that was one to try again.
        requests.ConnectionError, requests.Timeout
            If the last attempt was not answered.
        """
        options["timeout"] = self.patience.timeout_seconds
        attempt = 1
        while True:
            is_last = attempt == self.patience.attempts
            asked_wait = None
            try:
                response = super().send(request, *arguments, **options)
                _ = response.content  # read whole
            except PASSING_FAULTS as error:
                if is_last or isinstance(error, SSLError):
                    raise
                reason = type(error).__name__
            else:
                if not is_worth_another_attempt(response.status_code):
                    return response
                reason = str(response.status_code)
                asked_wait = wait_asked_for(
                    response.status_code, response.headers, time.time()
                )
                is_too_long = (
                    asked_wait or 0
                ) > self.patience.longest_wait_seconds
                if is_last or is_too_long:
                    raise RetryError(reason, response=response, request=request)
            wait = self._wait(attempt) if asked_wait is None else asked_wait
            log_event(
                logger,
                "request_tried_again",
                level=logging.WARNING,
                reason=reason,
                attempt=attempt,
                of=self.patience.attempts,
                wait_seconds=round(wait, 1),
            )
            time.sleep(wait)
            attempt += 1

    def _wait(self, attempt: int) -> float:
        doubled: float = self.patience.first_wait_seconds * 2 ** (attempt - 1)
        longest = min(doubled, self.patience.longest_wait_seconds)
        return longest * random.uniform(0.5, 1.0)


def is_worth_another_attempt(status: int) -> bool:
    """Whether the same request may be answered a little later.

    Examples
    --------
    >>> [is_worth_another_attempt(code) for code in (200, 403, 429, 503)]
    [False, False, True, True]
    """
    return (
        status in (REQUEST_TIMEOUT, TOO_MANY_REQUESTS)
        or status in SERVER_ERRORS
    )


def wait_asked_for(
    status: int, headers: Mapping[str, str], now: float
) -> float | None:
    """Seconds that a server asks to wait; None if it does not say.

    Parameters
    ----------
    status : int
    headers : mapping of str to str
        `Retry-After` in seconds or as a date; `X-RateLimit-Reset`, in seconds
        since 1970, counts with status 429.
    now : float
        Seconds since 1970.

    Examples
    --------
    >>> wait_asked_for(503, {"Retry-After": "2"}, now=0.0)
    2.0
    >>> after = {"Retry-After": "Thu, 01 Jan 1970 00:01:00 GMT"}
    >>> wait_asked_for(429, after, now=50.0)
    10.0
    >>> wait_asked_for(429, {"X-RateLimit-Reset": "61"}, now=60.0)
    1.0
    """
    asked = headers.get("Retry-After", "").strip()
    seconds = _number(asked)
    if seconds is None and asked:
        seconds = _seconds_until(asked, now)
    if seconds is None and status == TOO_MANY_REQUESTS:
        reset_at = _number(headers.get("X-RateLimit-Reset", ""))
        # In the past it says nothing.
        if reset_at is not None and reset_at >= now:
            seconds = reset_at - now
    return None if seconds is None else max(seconds, 0.0)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def _seconds_until(date: str, now: float) -> float | None:
    try:
        time_asked = parsedate_to_datetime(date)
    except ValueError:
        return None
    if time_asked.tzinfo is None:
        time_asked = time_asked.replace(tzinfo=UTC)
    return (time_asked - datetime.fromtimestamp(now, UTC)).total_seconds()
