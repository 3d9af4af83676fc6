"""The symbols of `raw.symbols` that a load meets, and those it adds."""

from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.exceptions import IngestionError
from python_ml.ingestion.base import BarSource, Load
from python_ml.ingestion.currencies import agreed_currencies
from python_ml.ingestion.screening.values import clean_text
from python_ml.warehouse.bulk import insert_frame

TABLE = schema.symbols
ALIASES = schema.symbol_aliases


class Symbols:
    """Symbols of the warehouse by ticker, as the load's transaction has them.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        Of the load's transaction.
    source : BarSource
        What is loaded.

    Attributes
    ----------
    by_ticker : dict of str to Row
        Rows of `raw.symbols`.
    aliases : dict of str to str
        Ticker of the symbol by each that it had before.
    new_ids : set of int
        Symbols that this load has added, of which nothing is known yet.
    currencies : dict of str to str
        Currency of the prices of each ticker, as far as the load says it.
    """

    def __init__(self, connection: sa.Connection, source: BarSource) -> None:
        self.connection = connection
        self.source = source
        self.by_ticker: dict[str, sa.Row[Any]] = {
            row.ticker: row for row in connection.execute(sa.select(TABLE))
        }
        self.aliases: dict[str, str] = {
            row.former: row.ticker
            for row in connection.execute(
                sa.select(
                    ALIASES.c.ticker.label("former"), TABLE.c.ticker
                ).join(TABLE, TABLE.c.symbol_id == ALIASES.c.symbol_id)
            )
        }
        self.new_ids: set[int] = set()
        self.currencies: dict[str, str] = {}

    def with_present_tickers(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Name the symbol of every row by the ticker that it has now."""
        if not self.aliases:
            return rows
        former = clean_text(rows["ticker"])
        present = former.astype(object).map(self.aliases)
        return rows.assign(
            ticker=rows["ticker"].astype(object).mask(present.notna(), present)
        )

    def check_calendars(self, tickers: set[str]) -> None:
        """Refuse symbols that the warehouse has on another calendar.

        Raises
        ------
        IngestionError
            Naming the first of them.
        """
        calendar = self.source.calendar
        for ticker in sorted(self.by_ticker.keys() & tickers):
            known = self.by_ticker[ticker].calendar
            if known != calendar:
                raise IngestionError(
                    f"Source {self.source.name!r} has {ticker} on calendar "
                    f"{calendar!r}, but raw.symbols has it on {known!r}: load "
                    f"it with --calendar {known}, or give it another ticker."
                )

    def notes_on_case(self, tickers: set[str]) -> tuple[str, ...]:
        """Name new tickers that differ from known ones in case alone."""
        known = {ticker.upper(): ticker for ticker in self.by_ticker}
        return tuple(
            f"{ticker} is new and another symbol than "
            f"{known[ticker.upper()]}, which raw.symbols has: case counts. If "
            f"the same is meant, say --symbol {known[ticker.upper()]}."
            for ticker in sorted(tickers - self.by_ticker.keys())
            if ticker.upper() in known
        )

    def check_currencies(self, load: Load, tickers: set[str]) -> None:
        """Refuse symbols that the warehouse has in another currency.

        What a load does not say of a symbol contradicts nothing.

        Raises
        ------
        IngestionError
            Naming the first of them.
        """
        if load.currency is not None:
            self.currencies = dict.fromkeys(tickers, load.currency)
        self.currencies |= agreed_currencies(
            load.currencies.items(),
            f"Source {self.source.name!r}",
            aliases=self.aliases,
        )
        for ticker in sorted(self.by_ticker.keys() & self.currencies.keys()):
            said, known = (
                self.currencies[ticker],
                self.by_ticker[ticker].currency,
            )
            if known not in (None, said):
                raise IngestionError(
                    f"Source {self.source.name!r} has prices of {ticker} in "
                    f"{said}, but raw.symbols has them in {known}: load them "
                    f"under another ticker, such as --symbol {ticker}.{said}, "
                    "or mend the record if it is wrong: swiftbolt symbols "
                    f"set-currency {ticker} {said}"
                )

    def calendars(self) -> dict[str, str]:
        """Calendar of each ticker."""
        return {ticker: row.calendar for ticker, row in self.by_ticker.items()}

    def add(self, bars: pd.DataFrame) -> None:
        """Add the new symbols of accepted bars, and date all by the first."""
        first_sessions = (
            bars.groupby("ticker", observed=True)["session_date"]
            .min()
            .dt.date.to_dict()
        )
        new = {
            ticker: day
            for ticker, day in first_sessions.items()
            if ticker not in self.by_ticker
        }
        if new:
            insert_frame(
                self.connection,
                TABLE,
                pd.DataFrame(
                    {
                        "ticker": list(new),
                        "calendar": self.source.calendar,
                        "listed_from": list(new.values()),
                        "source": self.source.name,
                        "currency": [*map(self.currencies.get, new)],
                    }
                ),
            )
        found = [
            {"known_ticker": ticker, "found": self.currencies[ticker]}
            for ticker in first_sessions
            if ticker in self.by_ticker
            and ticker in self.currencies
            and self.by_ticker[ticker].currency is None
        ]
        if found:
            self.connection.execute(
                sa.update(TABLE)
                .where(TABLE.c.ticker == sa.bindparam("known_ticker"))
                .values(currency=sa.bindparam("found")),
                found,
            )
        earlier = [
            {"known_ticker": ticker, "first_session": day}
            for ticker, day in first_sessions.items()
            if ticker in self.by_ticker
            and (
                self.by_ticker[ticker].listed_from is None
                or day < self.by_ticker[ticker].listed_from
            )
        ]
        if earlier:
            self.connection.execute(
                sa.update(TABLE)
                .where(TABLE.c.ticker == sa.bindparam("known_ticker"))
                .values(listed_from=sa.bindparam("first_session")),
                earlier,
            )
        if new or earlier or found:
            rows = self.connection.execute(
                sa.select(TABLE).where(TABLE.c.ticker.in_([*first_sessions]))
            )
            self.by_ticker |= {row.ticker: row for row in rows}
            self.new_ids |= {self.by_ticker[ticker].symbol_id for ticker in new}

    def with_ids(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[int]]:
        """Give rows their symbol_id; also the ids that the load did not add."""
        tickers = rows["ticker"].cat
        ids = [
            self.by_ticker[name].symbol_id if name in self.by_ticker else -1
            for name in tickers.categories
        ]
        rows = rows.assign(symbol_id=np.array(ids)[tickers.codes])
        return rows, sorted({*rows["symbol_id"]} - self.new_ids)
