"""Where alerts go: services by `apprise`, and a webhook of Slack.

Addresses hold secrets. They come from the environment, stay in this module,
and are told from each other by a label that holds none; what a service or a
library says of a failure is never passed on, since it may repeat them.
"""

import contextlib
import hashlib
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from python_ml.exceptions import AlertChannelError
from python_ml.monitoring.alerts.digests import to_slack, to_text

URLS_VARIABLE = "SWIFTBOLT_ALERT_URLS"
SLACK_VARIABLE = "SLACK_WEBHOOK_URL"
# For the connection, and for each silence of the service.
TIMEOUT_SECONDS = 10.0
# For all of a message, however slowly a service answers.
DEADLINE_SECONDS = 30.0
LABEL_DIGITS = 8
ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://\S+")
# Loggers of libraries that write addresses down.
TALKATIVE = ("apprise", "urllib3", "requests")


@dataclass(frozen=True, slots=True)
class Channel:
    """One place that messages go to.

    Parameters
    ----------
    label : str
        Name on record and in logs: kind of service, part of a digest.
    address : str
        With its secrets; in no representation.
    is_slack_webhook : bool
    number : int
        Place among the addresses of its variable, from 1.
    """

    label: str
    address: str = field(repr=False)
    is_slack_webhook: bool = False
    number: int = 1


@dataclass(frozen=True, slots=True)
class Channels:
    """Channels that can be used, and what is wrong with others.

    Parameters
    ----------
    usable : tuple of Channel
    problems : tuple of str
        One sentence each, without addresses.
    """

    usable: tuple[Channel, ...]
    problems: tuple[str, ...] = ()


def read_channels(environment: Mapping[str, str] | None = None) -> Channels:
    """Read the channels from environment variables.

    Parameters
    ----------
    environment : mapping of str to str, optional
        By default `os.environ`.

    Returns
    -------
    Channels
        Each address once, if it has the form of one: most checks have nothing
        to tell, and apprise takes half a second to be imported. See
        `known_to_apprise`. What cannot be read is a problem, not an error:
        nobody's job ends for it.

    Examples
    --------
    >>> channels = read_channels({"SLACK_WEBHOOK_URL": "hooks.slack.com"})
    >>> channels.usable
    ()
    >>> print(*channels.problems)
    SLACK_WEBHOOK_URL is no address that begins with https://. Copy it again \
from Slack, whole.
    """
    values = os.environ if environment is None else environment
    channels: dict[str, Channel] = {}
    problems = []
    urls = re.split(r",?\s+|,(?=[\w+.-]+://)|,$", values.get(URLS_VARIABLE, ""))
    for number, url in enumerate(filter(None, urls), start=1):
        if not ADDRESS.fullmatch(url):
            problems.append(_unreadable(number))
            continue
        kind = url.partition("://")[0].lower()
        channel = Channel(_label(kind, url), url, number=number)
        channels.setdefault(channel.label, channel)
    if webhook := values.get(SLACK_VARIABLE, "").strip():
        if _is_web_address(webhook):
            channel = Channel(
                _label("slack-webhook", webhook),
                webhook,
                is_slack_webhook=True,
            )
            channels.setdefault(channel.label, channel)
        else:
            problems.append(
                f"{SLACK_VARIABLE} is no address that begins with https://. "
                "Copy it again from Slack, whole."
            )
    return Channels(tuple(channels.values()), tuple(problems))


def known_to_apprise(channels: Channels) -> Channels:
    """Leave out addresses that apprise does not read; these are problems.

    Parameters
    ----------
    channels : Channels
        As `read_channels` returns them.

    Examples
    --------
    >>> found = read_channels({"SWIFTBOLT_ALERT_URLS": "jsn://example.com"})
    >>> len(found.usable), len(known_to_apprise(found).usable)
    (1, 0)
    """
    usable, problems = [], list(channels.problems)
    for channel in channels.usable:
        if channel.is_slack_webhook or _can_be_read(channel.address):
            usable.append(channel)
        else:
            problems.append(_unreadable(channel.number))
    return Channels(tuple(usable), tuple(problems))


def send(
    channel: Channel, title: str, groups: list[dict[str, Any]], *, number: int
) -> None:
    """Send one message.

    Parameters
    ----------
    channel : Channel
    title : str
    groups : list of dict
        As a `Digest` has them.
    number : int
        Of the message, for a receiver that wants to know a repetition.

    Raises
    ------
    AlertChannelError
        If it was not taken, with a reason that holds no address. Whether it
        was taken all the same cannot be known where no answer came.
    """
    failures: list[str | None] = []

    def deliver() -> None:
        try:
            if channel.is_slack_webhook:
                failures.append(_post_to_slack(channel, title, groups))
            else:
                failures.append(
                    _notify(channel, f"{title} (#{number})", to_text(groups))
                )
        except Exception as error:
            # Its text may hold the address.
            failures.append(f"it failed with {type(error).__name__}")

    with _talkative_libraries_silenced():
        # A service that sends a byte now and then would hold us for ever.
        thread = threading.Thread(target=deliver, daemon=True)
        thread.start()
        thread.join(DEADLINE_SECONDS)
    if not failures:
        raise AlertChannelError(f"no answer within {DEADLINE_SECONDS:g} s")
    if failures[0] is not None:
        raise AlertChannelError(failures[0])


def _post_to_slack(
    channel: Channel, title: str, groups: list[dict[str, Any]]
) -> str | None:
    """Why the webhook did not take the message; None if it did."""
    import requests

    try:
        # The status is the answer; a body that is cut off changes nothing.
        with requests.post(
            channel.address,
            json=to_slack(title, groups),
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
            stream=True,
        ) as response:
            status = response.status_code
    except requests.Timeout:
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    except requests.ConnectionError:
        return "no connection, or it was cut off before an answer"
    except requests.RequestException as error:
        return f"it failed with {type(error).__name__}"
    return None if 200 <= status < 300 else _refusal(status)


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return (
            f"it answered {status}, another address, which is not followed: "
            "the message would go to a stranger"
        )
    return f"it answered {status}"


def _notify(channel: Channel, title: str, body: str) -> str | None:
    """Why the service did not take the message; None if it did."""
    import apprise

    service = apprise.Apprise(asset=_asset())
    if not service.add(_with_timeouts(channel.address)):
        return "apprise does not read its address"
    told: list[str] = []
    with _listening(told):
        if service.notify(
            body=body, title=title, body_format=apprise.NotifyFormat.TEXT
        ):
            return None
    statuses = [
        int(found[1])
        for text in told
        if (found := re.search(r"\berror=(\d{3})\b", text))
    ]
    if statuses:
        return _refusal(statuses[-1])
    return "no connection, no answer, or a refusal without a status"


def _asset() -> Any:
    import apprise

    return apprise.AppriseAsset(
        app_id="SwiftBolt",
        app_desc="SwiftBolt",
        app_url="",
        http_redirects=False,
        secure_logging=True,
    )


def _with_timeouts(url: str) -> str:
    if re.search(r"[?&][cr]to=", url):
        return url
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}cto={TIMEOUT_SECONDS:g}&rto={TIMEOUT_SECONDS:g}"


def _can_be_read(url: str) -> bool:
    import apprise

    with _talkative_libraries_silenced():
        try:
            return bool(apprise.Apprise(asset=_asset()).add(url))
        except Exception:
            return False


def _unreadable(number: int) -> str:
    return (
        f"Address {number} of {URLS_VARIABLE} is none that apprise reads. "
        "Write it as its list of services says, addresses parted by spaces."
    )


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
        )
    except ValueError:
        return False


def _label(kind: str, address: str) -> str:
    digest = hashlib.sha256(address.encode()).hexdigest()
    return f"{kind}-{digest[:LABEL_DIGITS]}"


class _Listener(logging.Handler):
    """Keeps what apprise says, for this module alone."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.told = told

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


@contextlib.contextmanager
def _listening(told: list[str]) -> Iterator[None]:
    logger, handler = logging.getLogger("apprise"), _Listener(told)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextlib.contextmanager
def _talkative_libraries_silenced() -> Iterator[None]:
    """Keep libraries' own log lines from every handler but ours."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    before = [
        (logger, logger.level, logger.propagate, logger.handlers[:])
        for logger in loggers
    ]
    for logger in loggers:
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level, propagate, handlers in before:
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
