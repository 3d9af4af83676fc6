"""Pages of Alpaca's market data, fetched by its official client.

The only module that imports `alpaca`, an extra of this package: import it when
it is used. What goes wrong is one sentence on what to do; keys are in none.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NoReturn

from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from alpaca.data.enums import Adjustment, CorporateActionsType, DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.requests import CorporateActionsRequest, StockBarsRequest
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from requests.exceptions import (
    JSONDecodeError,
    RequestException,
    RetryError,
    SSLError,
    Timeout,
)

from python_ml.console.logs import get_logger, log_event
from python_ml.exceptions import SourceUnavailableError, SubscriptionError
from python_ml.ingestion.readers.patient_http import (
    TOO_MANY_REQUESTS,
    Patience,
    PatientAdapter,
)

TIMEFRAMES = {
    "m15": TimeFrame(15, TimeFrameUnit.Minute),
    "d1": TimeFrame(1, TimeFrameUnit.Day),
    "w1": TimeFrame(1, TimeFrameUnit.Week),
}
ACTION_TYPES = [
    CorporateActionsType.FORWARD_SPLIT,
    CorporateActionsType.REVERSE_SPLIT,
    CorporateActionsType.STOCK_DIVIDEND,
    CorporateActionsType.CASH_DIVIDEND,
    CorporateActionsType.SPIN_OFF,
]
# The most that the service allows.
BARS_PER_PAGE = 10_000
ACTIONS_PER_PAGE = 1_000
# Of what the service says, as much as fits a message.
MAX_ANSWER_CHARACTERS = 200
CHECK_KEYS = (
    "Check APCA_API_KEY_ID and APCA_API_SECRET_KEY: both belong to one "
    "account, and a paper account has keys of its own."
)
AGAIN = "The same command goes on from what is loaded."

logger = get_logger(__name__)

Page = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Keys:
    """Keys of an account, kept out of every text.

    Parameters
    ----------
    key_id, secret_key : str
    """

    key_id: str = field(repr=False)
    secret_key: str = field(repr=False)


class AlpacaService:
    """Alpaca's historical bars and corporate actions, page by page.

    Parameters
    ----------
    keys : Keys
    base_url : str
        Without a path; of the service, a proxy or a test.
    patience : Patience
        Timeouts and repeated attempts of each request.

    Attributes
    ----------
    unknown_symbols : set of str
        Symbols that the service does not accept; they are asked for no more.
    """

    def __init__(self, keys: Keys, base_url: str, patience: Patience) -> None:
        self._keys = keys
        self._base_url = base_url
        self._patience = patience
        self.unknown_symbols: set[str] = set()
        access: dict[str, Any] = {
            "api_key": keys.key_id,
            "secret_key": keys.secret_key,
            "raw_data": True,
            "url_override": base_url,
        }
        self._stocks = StockHistoricalDataClient(**access)
        self._actions = CorporateActionsClient(**access)
        for client in (self._stocks, self._actions):
            # The client itself has no timeout, and waits a fixed time.
            for scheme in ("http://", "https://"):
                client._session.mount(scheme, PatientAdapter(patience))

    def bar_pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        *,
        start: datetime,
        end: datetime,
        feed: str,
    ) -> Iterator[Page]:
        """Fetch bars as traded, by symbol, then in the order of time.

        Parameters
        ----------
        symbols : sequence of str
        timeframe : str
            One of `TIMEFRAMES`.
        start, end : datetime
            First and last open of a bar, both inclusive, with a time zone.
        feed : {"iex", "sip"}

        Yields
        ------
        dict of str to list of dict
            Bars by symbol: t (open), o, h, l, c, v and others.

        Raises
        ------
        SourceUnavailableError
            If a page cannot be had.
        """
        request = StockBarsRequest(
            symbol_or_symbols=list(symbols),
            timeframe=TIMEFRAMES[timeframe],
            start=start,
            end=end,
            limit=BARS_PER_PAGE,
            adjustment=Adjustment.RAW,
            feed=DataFeed(feed),
        )
        yield from self._pages(
            self._stocks,
            "/stocks/bars",
            request.to_request_fields(),
            symbols,
            key="bars",
        )

    def action_pages(
        self, symbols: Sequence[str], *, start: date, end: date
    ) -> Iterator[Page]:
        """Fetch corporate actions that were, or will be, processed in a span.

        Parameters
        ----------
        symbols : sequence of str
        start, end : date
            Both inclusive. A dividend is processed when it is paid, weeks
            after its ex-date; a stock dividend may be days before.

        Yields
        ------
        dict of str to list of dict
            Actions by kind: forward_splits, cash_dividends and so on.

        Raises
        ------
        SourceUnavailableError
            If a page cannot be had.
        """
        request = CorporateActionsRequest(
            types=ACTION_TYPES,
            start=start,
            end=end,
            limit=ACTIONS_PER_PAGE,
        )
        fields = request.to_request_fields()
        yield from self._pages(
            self._actions,
            "/corporate-actions",
            fields | {"types": ",".join(fields["types"])},
            symbols,
            key="corporate_actions",
        )

    def _pages(
        self,
        client: RESTClient,
        path: str,
        fields: Mapping[str, Any],
        symbols: Sequence[str],
        *,
        key: str,
    ) -> Iterator[Page]:
        """Follow the page tokens; leave out symbols that are not accepted."""
        token: str | None = None
        tokens: set[str] = set()
        while wanted := [
            symbol for symbol in symbols if symbol not in self.unknown_symbols
        ]:
            query = {**fields, "symbols": ",".join(wanted)}
            if token is not None:
                query["page_token"] = token
            try:
                answer: Any = client.get(path, query)
            except APIError as error:
                refused = _refused_symbols(error, wanted)
                if refused and token is None:
                    self.unknown_symbols |= refused
                    continue
                self._raise_refused(error)
            except RequestException as error:
                self._raise_failed(error)
            page = self._checked_page(answer, key)
            log_event(
                logger,
                "page_read",
                level=logging.DEBUG,
                source="alpaca",
                path=path,
                rows=sum(map(len, page.values())),
            )
            yield page
            token = answer.get("next_page_token")
            if token is None:
                return
            if not isinstance(token, str) or token in tokens:
                self._raise_unreadable(f"the page token {token!r} once more")
            tokens.add(token)

    def _checked_page(self, answer: Any, key: str) -> Page:
        """Rows of an answer, or a complaint that there are none to see."""
        page = answer.get(key) if isinstance(answer, dict) else None
        if page is None and isinstance(answer, dict) and key in answer:
            page = {}  # nothing was found
        if not isinstance(page, dict) or not all(
            isinstance(rows, list)
            and all(isinstance(row, dict) for row in rows)
            for rows in page.values()
        ):
            self._raise_unreadable(str(answer))
        return page

    def _raise_refused(self, error: APIError) -> NoReturn:
        """Say why the service refused a request."""
        status, answer = error.status_code, self._short(_message(str(error)))
        if status == 401:
            text = f"does not accept the keys (401: {answer}). {CHECK_KEYS}"
        elif status == 403 and "subscription" in answer.lower():
            raise SubscriptionError(
                "Alpaca: the account's subscription does not include what was "
                f"asked for (403: {answer}). Read the free feed with --feed "
                "iex, or extend the subscription."
            ) from error
        elif status == 403:
            text = f"refuses access (403: {answer}). {CHECK_KEYS}"
        elif status == 404:
            text = (
                f"has nothing at {self._where} (404: {answer}). Check "
                "--base-url and APCA_API_DATA_URL: the service's own is "
                "https://data.alpaca.markets."
            )
        else:
            text = (
                f"refuses the request ({status}: {answer}). Check --symbols, "
                "--from and --feed."
            )
        raise SourceUnavailableError(f"Alpaca {text}") from error

    def _raise_failed(self, error: RequestException) -> NoReturn:
        """Say why a request got no answer that can be used."""
        attempts = f"{self._patience.attempts} attempts"
        if isinstance(error, JSONDecodeError):
            self._raise_unreadable(error.doc, error)
        if isinstance(error, RetryError) and error.response is not None:
            status = error.response.status_code
            asked = error.response.headers.get("Retry-After")
            wait = f"wait {asked} s and " if asked else ""
            text = (
                "allows no more requests for now (429)"
                if status == TOO_MANY_REQUESTS
                else f"fails ({status}: {self._short(error.response.text)})"
            )
            text = f"{text}, after up to {attempts}: {wait}run this again."
        elif isinstance(error, Timeout):
            text = (
                f"did not answer in {attempts} of "
                f"{self._patience.timeout_seconds:g} s: check the network and "
                f"whether {self._where} is right, or give it more time with "
                "--timeout."
            )
        elif isinstance(error, SSLError):
            text = (
                f"cannot be trusted: {self._where} has a certificate that "
                f"cannot be verified ({self._short(str(error))}). Check "
                "--base-url, or name a proxy's own with REQUESTS_CA_BUNDLE."
            )
        else:
            text = (
                f"cannot be reached: the connection to {self._where} was "
                f"refused, cut or silent in {attempts} of "
                f"{self._patience.timeout_seconds:g} s. Check the network "
                "and --base-url."
            )
        raise SourceUnavailableError(f"Alpaca {text} {AGAIN}") from error

    def _raise_unreadable(
        self, answer: str, cause: Exception | None = None
    ) -> NoReturn:
        raise SourceUnavailableError(
            "Alpaca answered with what is not what was asked for: "
            f"{self._short(answer) or 'nothing'}. Check whether {self._where} "
            f"is right, then run this again. {AGAIN}"
        ) from cause

    @property
    def _where(self) -> str:
        """The base address without the name and password of a proxy."""
        return re.sub(r"//[^/@]*@", "//", self._base_url)

    def _short(self, text: str) -> str:
        """One line of text without the keys."""
        for secret in (self._keys.key_id, self._keys.secret_key):
            text = text.replace(secret, "***")
        return " ".join(text.split())[:MAX_ANSWER_CHARACTERS]


def _message(body: str) -> str:
    """What an error's body says, if it is as documented."""
    found = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', body)
    return found[1] if found else body


def _refused_symbols(error: APIError, symbols: Sequence[str]) -> set[str]:
    """Symbols that the service names as invalid."""
    text = _message(str(error))
    if error.status_code != 400 or "symbol" not in text.lower():
        return set()
    named = re.split(r"[\s,;:]+", text.rpartition(":")[2])
    return set(symbols).intersection(named)
