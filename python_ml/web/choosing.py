"""From an address to a choice that the warehouse can answer."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import pandas as pd

from python_ml.exceptions import UnknownSeriesError
from python_ml.web.content import Choice, Page
from python_ml.web.kept import KeptReader
from python_ml.web.queries import choices as queries
from python_ml.web.queries.ensembles import VERSIONS
from python_ml.web.relations import Relations


@dataclass(frozen=True, slots=True)
class Offer:
    """What a reader can choose from beside what is chosen.

    Parameters
    ----------
    symbols : tuple of str
    timeframes : tuple of str
        Of the symbol, longest first.
    horizons : tuple of (str, bool)
        Of the timeframe, with whether each is the base one.
    versions : tuple of str
        Of the series, newest first; empty where none are compared.
    choice : Choice
    """

    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    horizons: tuple[tuple[str, bool], ...]
    versions: tuple[str, ...]
    choice: Choice


def read_symbols(reader: KeptReader, relations: Relations) -> pd.DataFrame:
    """Tickers in use, their calendars and `is_forecast`; perhaps no row."""
    query = queries.SYMBOLS.readable(relations)
    if not query.relations - relations:
        return reader.read(query)
    return pd.DataFrame(columns=["ticker", "calendar", "is_forecast"])


def _read_series(
    reader: KeptReader, symbol: str | None, relations: Relations
) -> pd.DataFrame:
    """Timeframes of a symbol with their horizons, perhaps no row."""
    query = queries.SERIES.readable(relations)
    if symbol is not None and not query.relations - relations:
        return reader.read(query, {"symbol": symbol})
    return pd.DataFrame(columns=["timeframe", "horizon", "is_base"])


def choose(
    reader: KeptReader,
    page: Page,
    wanted: Mapping[str, str],
    relations: Relations,
    *,
    now: datetime.datetime,
) -> Offer:
    """Complete what an address asks for with what there is.

    Parameters
    ----------
    reader : KeptReader
    page : Page
    wanted : mapping of str to str
        `symbol`, `timeframe`, `horizon`, `left`, `right`, `question`,
        `audits`; what is absent is chosen: the first symbol that has forecasts,
        daily bars, the base horizon.
    relations : frozenset of (str, str)
    now : datetime

    Raises
    ------
    UnknownSeriesError
        If the symbol, timeframe or horizon is none of the warehouse's.
    """
    found = read_symbols(reader, relations)
    symbols = tuple(found["ticker"])
    forecast = found.loc[found["is_forecast"].astype(bool), "ticker"]
    symbol = _pick(
        "symbol",
        wanted.get("symbol"),
        symbols,
        str(forecast.iloc[0]) if len(forecast) else None,
    )
    calendar = (
        str(found.loc[found["ticker"] == symbol, "calendar"].iloc[0])
        if symbol
        else None
    )
    series = _read_series(reader, symbol, relations)
    timeframes = tuple(dict.fromkeys(series["timeframe"]))
    timeframe = _pick(
        "timeframe",
        wanted.get("timeframe"),
        timeframes,
        "d1" if "d1" in timeframes else None,
    )
    own = series[series["timeframe"] == timeframe]
    base = own.loc[own["is_base"].astype(bool), "horizon"]
    horizon = _pick(
        "horizon",
        wanted.get("horizon"),
        tuple(own["horizon"]),
        str(base.iloc[0]) if len(base) else None,
    )
    choice = Choice(
        symbol=symbol,
        timeframe=timeframe,
        horizon=horizon,
        calendar=calendar,
        now=now,
        question=_question(wanted.get("question")),
        is_audited=wanted.get("audits") == "now",
    )
    versions: tuple[str, ...] = ()
    if "versions" in page.choices and not VERSIONS.relations - relations:
        rows = reader.read(VERSIONS, choice.parameters())
        versions = tuple(dict.fromkeys(rows["version_id"]))
        choice = _with_versions(choice, versions, wanted)
    return Offer(
        symbols,
        timeframes,
        tuple(zip(own["horizon"], own["is_base"].astype(bool), strict=True)),
        versions,
        choice,
    )


def _pick(
    what: str, wanted: str | None, offered: tuple[str, ...], default: str | None
) -> str | None:
    if not wanted:
        return default or (offered[0] if offered else None)
    if wanted in offered:
        return wanted
    folded = {name.casefold(): name for name in offered}
    if wanted.casefold() in folded:
        return folded[wanted.casefold()]
    shown = ", ".join(offered[:12]) or "none yet"
    raise UnknownSeriesError(
        f"There is no {what} {wanted[:60]!r} here; there is: {shown}"
        f"{' and more' if len(offered) > 12 else ''}."
    )


def _question(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 4 else 1


def _with_versions(
    choice: Choice, versions: tuple[str, ...], wanted: Mapping[str, str]
) -> Choice:
    right = _pick("version", wanted.get("right"), versions, None)
    others = tuple(version for version in versions if version != right)
    left = _pick(
        "version",
        wanted.get("left"),
        versions,
        others[0] if others else None,
    )
    if left == right:
        left = others[0] if others else None
    return replace(choice, left=left, right=right)


def address(page: Page, choice: Choice, **changed: str | int | None) -> str:
    """Address of a page with a choice, to be shared.

    Parameters
    ----------
    page : Page
    choice : Choice
    **changed
        What is to be different; None leaves it to the page.

    Examples
    --------
    >>> from python_ml.web.pages.forecasts import PAGE
    >>> now = datetime.datetime.now(datetime.UTC)
    >>> choice = Choice("BRK/B", "d1", "5d", "XNYS", now)
    >>> address(PAGE, choice, horizon=None)
    '/forecasts?symbol=BRK%2FB&timeframe=d1'
    """
    values: dict[str, str | int | None] = {
        "symbol": choice.symbol,
        "timeframe": choice.timeframe,
        "horizon": choice.horizon,
    }
    names = {name for name in page.choices if name in values}
    if "versions" in page.choices:
        values |= {"left": choice.left, "right": choice.right}
        names |= {"left", "right"}
    if "audits" in page.choices and choice.is_audited:
        values["audits"] = "now"
        names.add("audits")
    if "question" in page.choices:
        values["question"] = choice.question
        names.add("question")
    query = {
        name: value
        for name, value in (values | changed).items()
        if name in names | changed.keys() and value is not None
    }
    path = f"/{page.key}"
    return f"{path}?{urlencode(query)}" if query else path
