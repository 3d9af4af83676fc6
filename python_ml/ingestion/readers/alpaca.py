"""Bars of US shares from Alpaca, with their splits and dividends."""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from python_ml.exceptions import SettingsError, SubscriptionError
from python_ml.ingestion.base import BAR_COLUMNS, Load
from python_ml.ingestion.calendars.grid import DAILY, SessionGrid
from python_ml.ingestion.calendars.sessions import (
    calendar_sessions,
    calendar_time_zone,
    last_session_date,
)
from python_ml.ingestion.readers.alpaca_pages import (
    BAR_FIELDS,
    Actions,
    actions_of_pages,
    bars_of_page,
    keep_closed_bars,
)
from python_ml.ingestion.readers.alpaca_series import (
    CALENDAR,
    INTRADAY_MINUTES,
    source_name,
)
from python_ml.ingestion.readers.corporate_actions import (
    CLOSE_IS_STALE_AFTER,
    adjustments_from_events,
)
from python_ml.ingestion.readers.patient_http import Patience
from python_ml.ingestion.resume import WantedSeries
from python_ml.ingestion.screening.values import read_dates, read_numbers
from python_ml.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from python_ml.ingestion.readers.alpaca_service import AlpacaService

DEFAULT_URL = "https://data.alpaca.markets"
# Without a subscription the consolidated feed ends a quarter of an hour ago.
FREE_DELAY = timedelta(minutes=16)
NO_RECENT_BARS = (
    "Bars of the last quarter of an hour are left out: they need a "
    "subscription, or --feed iex."
)
# Actions are dated by their processing: a dividend's payment comes weeks after
# its ex-date, a stock dividend's may come before. They are announced late, too.
PROCESSED_BEFORE = timedelta(days=60)
PROCESSED_AFTER = timedelta(days=120)
ANNOUNCED_LATE = timedelta(days=60)


@dataclass(frozen=True)
class AlpacaSource:
    """US shares from Alpaca's market data, prices as traded.

    Bars before the open and after the close of a session are left out, and so
    are those that had not closed; both are counted. A d1 bar is handed over
    by the date of its session, a w1 bar by that of its Monday. Splits, stock
    dividends and cash dividends come from the corporate actions; spin-offs,
    of which no factor is known, are named in the notes.

    Parameters
    ----------
    service : AlpacaService
        From `open_service`.
    series : sequence of WantedSeries
        What to read, from when on; all series of a symbol belong to one source.
    feed : {"sip", "iex"}, default="sip"
        All US exchanges, or one of them, which has few of the trades.
    now : datetime, optional
        Bars that close later are left out; with a time zone.
    """

    service: "AlpacaService"
    series: Sequence[WantedSeries]
    feed: str = "sip"
    calendar: str = CALENDAR
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def name(self) -> str:
        """The feeds are two sources: their bars differ."""
        return source_name(self.feed)

    def read(self) -> Load:
        """Fetch all bars and actions of the series, or fail.

        Raises
        ------
        SourceUnavailableError
            If a page cannot be had; nothing is returned then.
        """
        try:
            return self._read(self.now)
        except SubscriptionError:
            if self.feed != "sip":
                raise
            load = self._read(self.now - FREE_DELAY)
            return replace(load, notes=(NO_RECENT_BARS, *load.notes))

    def _read(self, until: datetime) -> Load:
        sessions = calendar_sessions(
            self.calendar, through=last_session_date(until.date())
        )
        grid = SessionGrid(
            sessions, INTRADAY_MINUTES, calendar_time_zone(self.calendar)
        )
        bars, left_out = self._bars(until, grid)
        actions = self._actions(bars, until, sessions)
        adjustments, without_close = adjustments_from_events(
            actions.events, self._closes(bars, actions.events, until, grid)
        )
        left_out["dividend_without_close"] += len(without_close)
        return Load(
            bars=bars,
            adjustments=adjustments,
            source_names={own: name for name, own in BAR_FIELDS.items()},
            left_out={name: count for name, count in left_out.items() if count},
            notes=tuple(self._notes(bars, actions)),
            currency="USD",
        )

    def _bars(
        self, until: datetime, grid: SessionGrid
    ) -> tuple[pd.DataFrame, Counter[str]]:
        """Bars of all series; those that begin on one day in one request."""
        together: dict[tuple[str, date], list[str]] = defaultdict(list)
        for wanted in self.series:
            key = (wanted.timeframe, wanted.first_date)
            together[key].append(wanted.ticker)
        left_out: Counter[str] = Counter()
        kept = [pd.DataFrame(columns=BAR_COLUMNS)]
        for (timeframe, first_date), tickers in together.items():
            for bars, without in self._fetch(
                timeframe, tickers, first_date, until, grid
            ):
                kept.append(bars)
                left_out += without
        found = pd.concat(kept[1:] or kept, ignore_index=True)
        numbers = np.arange(1, len(found) + 1)
        return found.assign(source_row_number=numbers), left_out

    def _fetch(
        self,
        timeframe: str,
        tickers: Sequence[str],
        first_date: date,
        until: datetime,
        grid: SessionGrid,
    ) -> Iterator[tuple[pd.DataFrame, Counter[str]]]:
        """Bars that are kept of each page, and how many are not."""
        start = datetime.combine(first_date, time(), ZoneInfo(grid.time_zone))
        if start > until:
            return
        for page in self.service.bar_pages(
            tickers, timeframe, start=start, end=until, feed=self.feed
        ):
            asked_for = {name: page[name] for name in tickers if name in page}
            if asked_for:
                yield keep_closed_bars(
                    bars_of_page(asked_for, timeframe), grid, until=until
                )

    def _actions(
        self, bars: pd.DataFrame, until: datetime, sessions: pd.DataFrame
    ) -> Actions:
        """Actions of symbols with bars, whose ex-date had opened by `until`."""
        first_dates: dict[str, date] = {}
        for wanted in self.series:
            late = ANNOUNCED_LATE if wanted.has_bars else timedelta(0)
            first = wanted.first_date - late
            first_dates[wanted.ticker] = min(
                first, first_dates.get(wanted.ticker, first)
            )
        actions = actions_of_pages(
            self.service.action_pages(
                sorted(first_dates),
                start=min(first_dates.values()) - PROCESSED_BEFORE,
                end=until.date() + PROCESSED_AFTER,
            )
        )
        is_ahead = sessions["opened_at"] > pd.Timestamp(until)
        next_date = sessions.loc[is_ahead, "session_date"].min().date()
        with_bars = {*bars["ticker"]}

        def is_due(ticker: str, day: date) -> bool:
            return (
                ticker in with_bars and first_dates[ticker] <= day < next_date
            )

        events = actions.events
        is_kept = [
            is_due(ticker, day.date())
            for ticker, day in zip(
                events["ticker"], events["session_date"], strict=True
            )
        ]
        spin_offs = [found for found in actions.spin_offs if is_due(*found)]
        return replace(actions, events=events.loc[is_kept], spin_offs=spin_offs)

    def _closes(
        self,
        bars: pd.DataFrame,
        events: pd.DataFrame,
        until: datetime,
        grid: SessionGrid,
    ) -> pd.DataFrame:
        """Daily closes before dividends, fetched where they are not at hand."""
        daily = bars.loc[bars["timeframe"] == DAILY]
        dividends = events.loc[events["cash"].notna()]
        frames = [_closes_of(daily)]
        earliest = dividends.groupby("ticker")["session_date"].min()
        begins = frames[0].groupby("ticker")["session_date"].min()
        lacking = earliest.loc[~(begins.reindex(earliest.index) < earliest)]
        if len(lacking):
            frames += [
                _closes_of(page)
                for page, _ in self._fetch(
                    DAILY,
                    list(lacking.index),
                    (lacking.min() - CLOSE_IS_STALE_AFTER).date(),
                    until,
                    grid,
                )
            ]
        return pd.concat(frames).drop_duplicates(["ticker", "session_date"])

    def _notes(self, bars: pd.DataFrame, actions: Actions) -> Iterator[str]:
        """What a person should know of the load."""
        tickers = {wanted.ticker for wanted in self.series}
        unknown = tickers & self.service.unknown_symbols
        if unknown:
            yield f"Alpaca accepts no such symbol: {_listed(unknown)}."
        without = tickers - unknown - {*bars["ticker"]}
        if without:
            yield (
                f"Alpaca's feed {self.feed} has no bars that have closed of: "
                f"{_listed(without)}."
            )
        for ticker, day in actions.spin_offs:
            yield (
                f"{ticker} spun off a company on {day}: prices before are not "
                "adjusted for it, its factor is unknown."
            )
        for action in actions.unreadable:
            yield f"Left out an action that cannot be read: {action[:200]}."


def open_service(
    environment: Mapping[str, str],
    *,
    base_url: str | None = None,
    patience: Patience | None = None,
) -> "AlpacaService":
    """Connect to Alpaca with the keys of the environment; nothing is sent.

    Parameters
    ----------
    environment : mapping of str to str
        `APCA_API_KEY_ID`, `APCA_API_SECRET_KEY` and, for another base address
        than `DEFAULT_URL`, `APCA_API_DATA_URL`.
    base_url : str, optional
        Goes before that of the environment.
    patience : Patience, optional

    Raises
    ------
    SettingsError
        If a key is missing or none, the address is none, or `alpaca-py` is not
        installed.
    """
    names = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
    keys = {name: environment.get(name, "").strip() for name in names}
    missing = [
        name for name, key in keys.items() if not re.fullmatch(r"[!-~]+", key)
    ]
    if missing:
        raise SettingsError(
            f"{' and '.join(missing)} must hold the keys of an Alpaca account "
            "(a free one will do): export "
            + " ".join(f"{name}=..." for name in missing)
        )
    url = base_url or environment.get("APCA_API_DATA_URL") or DEFAULT_URL
    if not re.fullmatch(r"https?://[^/\s]+/*", url):
        raise SettingsError(
            "The base address of Alpaca (--base-url, APCA_API_DATA_URL) must "
            f"be of the form {DEFAULT_URL}, without a path."
        )
    service = _import_service()
    opened: AlpacaService = service.AlpacaService(
        service.Keys(*keys.values()), url.rstrip("/"), patience or Patience()
    )
    return opened


def _import_service() -> Any:
    """The module that needs the extra `alpaca`."""
    try:
        from python_ml.ingestion.readers import alpaca_service
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "python_ml":
            raise
        raise SettingsError(
            "Reading from Alpaca needs the package alpaca-py, which is not "
            f"installed ({error.name} is missing). Install it with: "
            f"{sys.executable} -m pip install "
            f"--constraint {PROJECT_ROOT / 'requirements-dev.lock'} alpaca-py"
        ) from error
    return alpaca_service


def _closes_of(daily: pd.DataFrame) -> pd.DataFrame:
    """Closes of daily bars that are named by their date."""
    return pd.DataFrame(
        {
            "ticker": daily["ticker"].astype("str"),
            "session_date": read_dates(daily["opened_at"]),
            "close": read_numbers(daily[["close"]])["close"],
        }
    ).dropna()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
