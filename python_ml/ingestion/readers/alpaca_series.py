"""Which series to read from Alpaca, and from when on."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from python_ml.exceptions import IngestionError, SettingsError
from python_ml.ingestion.calendars.grid import DAILY, WEEKLY
from python_ml.ingestion.calendars.sessions import calendar_time_zone
from python_ml.ingestion.known import newest_bars
from python_ml.ingestion.resume import WantedSeries, wanted_series
from python_ml.warehouse.connection import Warehouse

CALENDAR = "XNYS"
INTRADAY_MINUTES = {"m15": 15}
TIMEFRAMES = (*INTRADAY_MINUTES, DAILY, WEEKLY)
# Bars of a full session, those before its open and after its close included.
BARS_PER_SESSION = {"m15": 64.0, DAILY: 1.0, WEEKLY: 0.2}
# Where a series begins that holds no bars: at what training can use.
YEARS_OF_HISTORY = {"m15": 5, DAILY: 10, WEEKLY: 10}


def source_name(feed: str) -> str:
    """Name of the source that reads a feed.

    Examples
    --------
    >>> source_name("iex")
    'alpaca_iex'
    """
    return f"alpaca_{feed}"


def check_timeframes(timeframes: Iterable[str]) -> None:
    """Refuse timeframes whose bars Alpaca does not have on the grid.

    Raises
    ------
    SettingsError
        Naming those that can be read.
    """
    other = [name for name in timeframes if name not in TIMEFRAMES]
    if other:
        raise SettingsError(
            f"Alpaca has no {', '.join(other)} that fits the sessions: its "
            "hours begin on the hour, sessions at half past nine. Load m15, "
            "from which h1 and h4 are rolled up: --timeframes m15,d1"
        )


def series_to_read(
    warehouse: Warehouse,
    tickers: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    *,
    feed: str,
    first_date: date | None = None,
    again: bool = False,
    today: date | None = None,
) -> list[WantedSeries]:
    """What to read, from where on, by what the warehouse holds.

    Parameters
    ----------
    warehouse : Warehouse
    tickers : sequence of str or None
        None for all that were loaded from `feed` before and are listed.
    timeframes : sequence of str or None
        Of `TIMEFRAMES`; None for d1, without `tickers` for those loaded.
    feed : {"sip", "iex"}
    first_date : date, optional
        Where series begin that hold no bars; else by `YEARS_OF_HISTORY`.
    again : bool, default=False
        Begin there with series that hold bars, too.
    today : date, optional

    Raises
    ------
    IngestionError
        If nothing was loaded from the feed and no symbol is named.
    """
    today = today or datetime.now(UTC).date()
    history_from = {
        timeframe: first_date
        or today - timedelta(days=round(365.25 * YEARS_OF_HISTORY[timeframe]))
        for timeframe in timeframes or (TIMEFRAMES if not tickers else [DAILY])
    }
    newest = newest_bars(warehouse, list(history_from))
    time_zone = calendar_time_zone(CALENDAR)
    if tickers:
        return wanted_series(
            newest,
            [ticker.upper() for ticker in tickers],
            history_from=history_from,
            time_zone=time_zone,
            again=again,
        )
    own = newest.loc[
        (newest["source"] == source_name(feed)) & ~newest["is_delisted"]
    ]
    if own.empty:
        raise IngestionError(
            f"No series was loaded from Alpaca's feed {feed} yet: name the "
            "symbols, for example --symbols AAPL,MSFT --timeframes m15,d1"
        )
    loaded = {*zip(own["ticker"], own["timeframe"], strict=True)}
    return [
        wanted
        for wanted in wanted_series(
            own,
            own["ticker"],
            history_from=history_from,
            time_zone=time_zone,
            again=again,
        )
        if (wanted.ticker, wanted.timeframe) in loaded
    ]
