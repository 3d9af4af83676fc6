"""Loads that go on from what `raw` holds, in batches that are kept."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas as pd

from python_ml.console.progress import progress
from python_ml.exceptions import (
    IngestionError,
    NoBarsError,
    SourceUnavailableError,
)
from python_ml.ingestion.base import BarSource
from python_ml.ingestion.calendars.grid import WEEKLY
from python_ml.ingestion.load import ingest
from python_ml.ingestion.summary import IngestSummary
from python_ml.warehouse.connection import Warehouse

# What a batch may hold in memory, before bars outside of sessions are left out.
ROWS_PER_BATCH = 500_000
SYMBOLS_PER_BATCH = 200
SESSIONS_PER_DAY = 252 / 365


@dataclass(frozen=True)
class WantedSeries:
    """What a source is to be asked for.

    Parameters
    ----------
    ticker, timeframe : str
    first_date : date
        Session to begin with; of a week, its Monday.
    has_bars : bool
        Whether `raw` holds bars of it: then `first_date` is that of the
        newest, which is read again since it may have been corrected.
    """

    ticker: str
    timeframe: str
    first_date: date
    has_bars: bool


def wanted_series(
    newest: pd.DataFrame,
    tickers: Iterable[str],
    *,
    history_from: Mapping[str, date],
    time_zone: str,
    again: bool = False,
) -> list[WantedSeries]:
    """Every ticker on every timeframe, from where its bars end.

    Parameters
    ----------
    newest : DataFrame
        `newest_bars` of the warehouse.
    tickers : iterable of str
    history_from : mapping of str to date
        For each timeframe, where series begin that hold no bars.
    time_zone : str
        Of the exchange.
    again : bool, default=False
        Begin there with series that hold bars, too.

    Examples
    --------
    >>> newest = pd.DataFrame(
    ...     {
    ...         "ticker": ["IBM"],
    ...         "timeframe": ["d1"],
    ...         "opened_at": pd.to_datetime(["2024-01-03 14:30Z"]),
    ...     }
    ... )
    >>> for wanted in wanted_series(
    ...     newest,
    ...     ["AAPL", "IBM"],
    ...     history_from={"d1": date(2016, 1, 4)},
    ...     time_zone="America/New_York",
    ... ):
    ...     print(wanted.ticker, wanted.first_date, wanted.has_bars)
    AAPL 2016-01-04 False
    IBM 2024-01-03 True
    """
    sessions = newest["opened_at"].dt.tz_convert(time_zone).dt.date
    held = {
        (ticker, timeframe): day
        for ticker, timeframe, day in zip(
            newest["ticker"], newest["timeframe"], sessions, strict=True
        )
    }
    wanted = []
    for ticker in sorted({*tickers}):
        for timeframe, history_date in history_from.items():
            newest_date = held.get((ticker, timeframe))
            first_date = newest_date or history_date
            if again:
                first_date = history_date
            if timeframe == WEEKLY:
                first_date -= timedelta(days=first_date.weekday())
            wanted.append(
                WantedSeries(
                    ticker,
                    timeframe,
                    first_date,
                    has_bars=newest_date is not None,
                )
            )
    return wanted


def in_batches(
    wanted: Sequence[WantedSeries],
    *,
    today: date,
    bars_per_session: Mapping[str, float],
) -> Iterator[list[WantedSeries]]:
    """Part series into batches that fit into memory, symbols unparted.

    Parameters
    ----------
    wanted : sequence of WantedSeries
        By ticker.
    today : date
    bars_per_session : mapping of str to float
        Of each timeframe, as the source hands them out.

    Examples
    --------
    >>> series = [
    ...     WantedSeries(ticker, "m15", date(2016, 1, 4), has_bars=False)
    ...     for ticker in ("AAPL", "IBM", "MSFT", "NVDA")
    ... ]
    >>> for batch in in_batches(
    ...     series, today=date(2026, 1, 5), bars_per_session={"m15": 64}
    ... ):
    ...     print([one.ticker for one in batch])
    ['AAPL', 'IBM', 'MSFT']
    ['NVDA']
    """
    by_ticker: dict[str, list[WantedSeries]] = {}
    for series in wanted:
        by_ticker.setdefault(series.ticker, []).append(series)
    batch: list[WantedSeries] = []
    n_rows = n_symbols = 0.0
    for all_series in by_ticker.values():
        own_rows = sum(
            ((today - series.first_date).days + 1)
            * SESSIONS_PER_DAY
            * bars_per_session[series.timeframe]
            for series in all_series
        )
        is_full = (
            n_symbols == SYMBOLS_PER_BATCH or n_rows + own_rows > ROWS_PER_BATCH
        )
        if batch and is_full:
            yield batch
            batch, n_rows, n_symbols = [], 0.0, 0.0
        batch += all_series
        n_rows += own_rows
        n_symbols += 1
    if batch:
        yield batch


def ingest_batches(
    warehouse: Warehouse,
    sources: Sequence[BarSource],
    *,
    arguments: Mapping[str, Any] | None = None,
) -> IngestSummary:
    """Load sources one after the other; each is kept when it is loaded.

    A source whose bars cannot be stored does not stop the others; a service
    that fails does, and the next call goes on from there.

    Parameters
    ----------
    warehouse : Warehouse
    sources : sequence of BarSource
        At least one; of different symbols.
    arguments : mapping of str to object, optional
        Kept in `ml.job_runs` of each.

    Raises
    ------
    SourceUnavailableError
        If a service fails, saying how many sources had been loaded.
    NoBarsError
        If none has bars.
    IngestionError
        If a source's bars cannot be stored, once the others are loaded.
    """
    summaries: list[IngestSummary] = []
    failures: list[IngestionError] = []
    for source in progress(
        sources, total=len(sources), description="loading batches"
    ):
        try:
            summaries.append(ingest(warehouse, source, arguments=arguments))
        except IngestionError as error:
            failures.append(error)
        except SourceUnavailableError as error:
            if not summaries:
                raise
            raise type(error)(
                f"{error} {len(summaries)} of {len(sources)} batches of "
                "symbols are loaded."
            ) from error
    without_bars = [
        error for error in failures if isinstance(error, NoBarsError)
    ]
    if len(failures) > len(without_bars) or not summaries:
        raise next(
            (error for error in failures if error not in without_bars),
            failures[0],
        )
    return combined(summaries, notes=tuple(map(str, without_bars)))


def combined(
    summaries: Sequence[IngestSummary], *, notes: tuple[str, ...] = ()
) -> IngestSummary:
    """One summary of several loads from one source.

    Parameters
    ----------
    summaries : sequence of IngestSummary
        At least one.
    notes : tuple of str
        Further ones.
    """

    def total(name: str) -> Any:
        return sum(getattr(summary, name) for summary in summaries)

    def counted(name: str) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for summary in summaries:
            counts.update(getattr(summary, name))
        return dict(counts)

    def joined(name: str) -> tuple[Any, ...]:
        return tuple(
            item for summary in summaries for item in getattr(summary, name)
        )

    batch_ids = [
        summary.batch_id
        for summary in summaries
        if summary.batch_id is not None
    ]
    return IngestSummary(
        source=summaries[0].source,
        batch_id=max(batch_ids, default=None),
        bars_loaded=total("bars_loaded"),
        bars_restated=total("bars_restated"),
        bars_known=total("bars_known"),
        adjustments_loaded=total("adjustments_loaded"),
        adjustments_restated=total("adjustments_restated"),
        adjustments_known=total("adjustments_known"),
        rejected=counted("rejected"),
        rejected_recorded=total("rejected_recorded"),
        sessions_added=total("sessions_added"),
        sessions_differing=summaries[0].sessions_differing,
        series=joined("series"),
        bars_repaired=total("bars_repaired"),
        events_in_prices=total("events_in_prices"),
        causes=joined("causes"),
        suspected_splits=joined("suspected_splits"),
        left_out=counted("left_out"),
        notes=(
            *dict.fromkeys(
                note for summary in summaries for note in summary.notes
            ),
            *notes,
        ),
    )
