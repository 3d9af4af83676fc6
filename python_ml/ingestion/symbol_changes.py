"""What happens to symbols: added, renamed, delisted, set inactive, accepted.

Nothing here touches a bar. A renamed symbol keeps its number and with it its
whole history; its former tickers stay as aliases, so that bars loaded under
either go to the same symbol.
"""

import contextlib
import datetime
import getpass
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.console.text_tables import some_names
from python_ml.exceptions import IngestionError, UnknownSeriesError
from python_ml.ingestion.calendars.sessions import fill_sessions
from python_ml.ingestion.currencies import checked_currency
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import excluding, job_run

SYMBOLS = schema.symbols
ALIASES = schema.symbol_aliases

LIST_QUERY = """
    select
        symbols.ticker,
        symbols.calendar,
        symbols.currency,
        case
            when symbols.deactivated_at is not null then 'deactivated'
            when symbols.delisted_at is not null then 'delisted'
            else 'active'
        end as state,
        symbols.listed_from,
        symbols.delisted_at,
        symbols.deactivated_at,
        symbols.source,
        (
            select string_agg(aliases.ticker, ', ' order by valid_until)
            from {raw}.symbol_aliases as aliases
            where aliases.symbol_id = symbols.symbol_id
        ) as former_tickers,
        symbols.symbol_id
    from {raw}.symbols as symbols
    order by symbols.ticker
"""

SERIES_QUERY = """
    select
        bars.timeframe,
        count(*) as n_bars,
        min(bars.opened_at) as first_opened_at,
        max(bars.closed_at) as last_closed_at
    from (
        select distinct timeframe, opened_at, closed_at
        from {raw}.bars
        where symbol_id = :symbol_id
    ) as bars
    group by bars.timeframe
    order by bars.timeframe
"""

QUARANTINES_QUERY = """
    select timeframe, reason, details, quarantined_at, released_at
    from {ml}.quarantined_series
    where symbol_id = :symbol_id
    order by quarantine_id
"""

ACCEPTED_QUERY = """
    select kind, session_date, reason, accepted_by, accepted_at
    from {ml}.accepted_findings
    where symbol_id = :symbol_id
    order by accepted_finding_id
"""


def list_symbols(warehouse: Warehouse) -> pd.DataFrame:
    """All symbols by ticker: calendar, state, dates and former tickers."""
    return read_frame(warehouse, LIST_QUERY)


def show_symbol(warehouse: Warehouse, ticker: str) -> dict[str, Any]:
    """Everything on record of one symbol, found by any ticker it ever had.

    Raises
    ------
    UnknownSeriesError
        If there is no such symbol.
    """
    with warehouse.begin() as connection:
        symbol = _find(connection, ticker)
    symbols = list_symbols(warehouse)
    known = symbols[symbols["symbol_id"] == symbol.symbol_id]
    about = {"symbol_id": symbol.symbol_id}
    return {
        **known.iloc[0].astype(object).where(known.iloc[0].notna(), None),
        "loaded": read_frame(warehouse, SERIES_QUERY, about),
        "set_aside": read_frame(warehouse, QUARANTINES_QUERY, about),
        "accepted": read_frame(warehouse, ACCEPTED_QUERY, about),
    }


def add_symbol(
    warehouse: Warehouse,
    ticker: str,
    *,
    calendar: str,
    currency: str | None = None,
) -> None:
    """Add a symbol before its first bars, on the calendar it trades by.

    Raises
    ------
    IngestionError
        If the ticker is, or was, a symbol's already, the calendar is unknown
        or the currency is none.
    """
    currency = currency and checked_currency(currency)
    with _change(warehouse, "add", ticker=ticker, calendar=calendar) as (
        connection
    ):
        _refuse_taken(connection, ticker)
        fill_sessions(
            connection, calendar, now=datetime.datetime.now(datetime.UTC)
        )
        connection.execute(
            SYMBOLS.insert().values(
                ticker=ticker,
                calendar=calendar,
                currency=currency,
                source="added by hand",
            )
        )


def set_currency(warehouse: Warehouse, ticker: str, currency: str) -> str:
    """Say which currency the prices of a symbol are in; its code is returned.

    No price is changed.
    """
    code = checked_currency(currency)
    with _change(
        warehouse, "set-currency", ticker=ticker, currency=code
    ) as connection:
        _update(connection, _find(connection, ticker), currency=code)
    return code


def rename_symbol(
    warehouse: Warehouse,
    old: str,
    new: str,
    *,
    on: datetime.date | None = None,
) -> None:
    """Give a symbol another ticker; it keeps its history and its versions.

    Parameters
    ----------
    warehouse : Warehouse
    old, new : str
        Its ticker so far, and from now on.
    on : date, optional
        First session under the new one, by default today.

    Raises
    ------
    UnknownSeriesError
        If no symbol has the old ticker.
    IngestionError
        If the new one is, or was, another symbol's.
    """
    on = on or datetime.date.today()
    with _change(warehouse, "rename", ticker=old, to=new, on=on) as connection:
        symbol = _find(connection, old, is_current=True)
        former = connection.execute(
            sa.select(ALIASES).where(ALIASES.c.ticker == new)
        ).one_or_none()
        if former is not None and former.symbol_id == symbol.symbol_id:
            # It takes back a ticker of its own.
            connection.execute(ALIASES.delete().where(ALIASES.c.ticker == new))
        else:
            _refuse_taken(connection, new)
        connection.execute(
            ALIASES.insert().values(
                ticker=old, symbol_id=symbol.symbol_id, valid_until=on
            )
        )
        _update(connection, symbol, ticker=new)


def deactivate_symbol(warehouse: Warehouse, ticker: str) -> None:
    """Take a symbol out of every job; its bars stay."""
    with _change(warehouse, "deactivate", ticker=ticker) as connection:
        symbol = _find(connection, ticker)
        if symbol.deactivated_at is None:
            now = datetime.datetime.now(datetime.UTC)
            _update(connection, symbol, deactivated_at=now)


def activate_symbol(warehouse: Warehouse, ticker: str) -> None:
    """Take a symbol that was deactivated or delisted back into every job.

    What was settled at the last price of a delisted one stays settled.
    """
    with _change(warehouse, "activate", ticker=ticker) as connection:
        _update(
            connection,
            _find(connection, ticker),
            deactivated_at=None,
            delisted_at=None,
        )


def delist_symbol(
    warehouse: Warehouse, ticker: str, *, on: datetime.date | None = None
) -> datetime.datetime:
    """Say that a symbol has ceased to trade.

    Its open forecasts settle at its last price and no more are issued.

    Parameters
    ----------
    warehouse : Warehouse
    ticker : str
    on : date, optional
        Its last session, by default that of its newest bar.

    Returns
    -------
    datetime
        Close of the last session.

    Raises
    ------
    UnknownSeriesError
        If there is no such symbol.
    IngestionError
        If it has no bars, or its newest is of another session: what is
        settled stays settled, so the last price has to be there first.
    """
    with _change(warehouse, "delist", ticker=ticker, on=on) as connection:
        symbol = _find(connection, ticker)
        bars = schema.bars
        newest = connection.scalar(
            sa.select(sa.func.max(bars.c.closed_at)).where(
                bars.c.symbol_id == symbol.symbol_id
            )
        )
        if newest is None:
            raise IngestionError(
                f"{ticker} is to be delisted but has no bars to settle by. "
                f"Take it out with: swiftbolt symbols deactivate {ticker}"
            )
        sessions = schema.sessions
        session = connection.execute(
            sa.select(sessions)
            .where(
                sessions.c.calendar == symbol.calendar,
                sessions.c.closed_at >= newest,
            )
            .order_by(sessions.c.closed_at)
            .limit(1)
        ).one()
        if on is not None and on != session.session_date:
            raise IngestionError(
                f"{ticker} is to be delisted on {on}, but its newest bar is "
                f"of {session.session_date}. Load its bars up to {on} first, "
                "or name its last session: swiftbolt symbols delist "
                f"{ticker} --on {session.session_date}"
            )
        _update(connection, symbol, delisted_at=session.closed_at)
        closed_at: datetime.datetime = session.closed_at
        return closed_at


def accept_finding(
    warehouse: Warehouse,
    ticker: str,
    *,
    kind: str,
    session_date: datetime.date,
    reason: str,
) -> None:
    """Put on record that a finding on a symbol's bars is right as it is.

    Parameters
    ----------
    warehouse : Warehouse
    ticker : str
    kind : str
        Such as `suspected_split` or `impossible_value`.
    session_date : date
        Session that the finding is about.
    reason : str
        Why, for whoever reads it later.
    """
    arguments = {"ticker": ticker, "kind": kind, "session": session_date}
    table = schema.accepted_findings
    with _change(warehouse, "accept", **arguments) as connection:
        symbol = _find(connection, ticker)
        is_known = connection.scalar(
            sa.select(sa.literal(True)).where(
                table.c.symbol_id == symbol.symbol_id,
                table.c.kind == kind,
                table.c.session_date == session_date,
            )
        )
        if not is_known:
            connection.execute(
                table.insert().values(
                    symbol_id=symbol.symbol_id,
                    kind=kind,
                    session_date=session_date,
                    reason=reason,
                    accepted_by=getpass.getuser(),
                    accepted_at=datetime.datetime.now(datetime.UTC),
                )
            )


@contextlib.contextmanager
def _change(
    warehouse: Warehouse, verb: str, **arguments: Any
) -> Iterator[sa.Connection]:
    """One change of `raw.symbols`, on record, with no load under way."""
    record = {name: value and str(value) for name, value in arguments.items()}
    with (
        job_run(warehouse, "symbols", {"verb": verb, **record}),
        excluding(warehouse, "ingest"),
        warehouse.begin() as connection,
    ):
        yield connection


def _find(
    connection: sa.Connection, ticker: str, *, is_current: bool = False
) -> sa.Row[Any]:
    """The symbol that has a ticker, or had it."""
    current = connection.execute(
        sa.select(SYMBOLS).where(SYMBOLS.c.ticker == ticker)
    ).one_or_none()
    if current is not None:
        return current
    former = connection.execute(
        sa.select(SYMBOLS)
        .join(ALIASES, ALIASES.c.symbol_id == SYMBOLS.c.symbol_id)
        .where(ALIASES.c.ticker == ticker)
    ).one_or_none()
    if former is not None and not is_current:
        return former
    if former is not None:
        raise UnknownSeriesError(
            f"{ticker} is a former ticker of {former.ticker}; name that one."
        )
    known: Sequence[str] = connection.scalars(
        sa.select(SYMBOLS.c.ticker).order_by(SYMBOLS.c.ticker)
    ).all()
    alike = [name for name in known if name.upper() == ticker.upper()]
    advice = (
        f"Did you mean {alike[0]}?"
        if alike
        else f"Add it with: swiftbolt symbols add {ticker}"
    )
    raise UnknownSeriesError(
        f"There is no symbol {ticker}; raw.symbols has "
        f"{some_names(known) or 'none'}. {advice}"
    )


def _refuse_taken(connection: sa.Connection, ticker: str) -> None:
    taken = connection.execute(
        sa.select(SYMBOLS.c.ticker)
        .select_from(SYMBOLS)
        .outerjoin(ALIASES, ALIASES.c.symbol_id == SYMBOLS.c.symbol_id)
        .where(sa.or_(SYMBOLS.c.ticker == ticker, ALIASES.c.ticker == ticker))
    ).first()
    if taken is not None:
        what = (
            "the ticker of a symbol already"
            if taken.ticker == ticker
            else f"a former ticker of {taken.ticker}, whose bars may still be "
            "loaded under it"
        )
        raise IngestionError(
            f"{ticker} is {what}. Use another one, such as {ticker}.2; which "
            "there are, says: swiftbolt symbols list"
        )


def _update(
    connection: sa.Connection, symbol: sa.Row[Any], **values: Any
) -> None:
    connection.execute(
        SYMBOLS.update()
        .where(SYMBOLS.c.symbol_id == symbol.symbol_id)
        .values(**values)
    )
