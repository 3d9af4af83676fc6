"""Commands on symbols: which there are, and what becomes of them."""

import datetime

import click

from python_ml.cli.options import json_option
from python_ml.cli.output import print_done, print_frame
from python_ml.cli.warehouse import open_warehouse

DATE = click.DateTime(["%Y-%m-%d"])


@click.group()
def symbols() -> None:
    """See symbols; add, rename, deactivate and delist them.

    What a command changes takes effect with the next build: swiftbolt run
    """


@symbols.command("list", epilog="Example: swiftbolt symbols list --json")
@json_option
def symbols_list(as_json: bool) -> None:
    """List all symbols with their state and former tickers."""
    from python_ml.ingestion import symbol_changes

    with open_warehouse(role="loader") as warehouse:
        frame = symbol_changes.list_symbols(warehouse)
    columns = {
        "ticker": "ticker",
        "calendar": "calendar",
        "currency": "currency",
        "state": "state",
        "listed_from": "first session",
        "delisted_at": "delisted (UTC)",
        "former_tickers": "formerly",
        "source": "source",
    }
    print_frame(frame, columns, as_json)


@symbols.command("show", epilog="Example: swiftbolt symbols show AAPL")
@click.argument("ticker")
@json_option
def symbols_show(ticker: str, as_json: bool) -> None:
    """Show what is on record of a symbol: bars, set aside, accepted."""
    from python_ml.console.json_text import to_json
    from python_ml.console.text_tables import to_records, to_text
    from python_ml.ingestion import symbol_changes

    with open_warehouse(role="loader") as warehouse:
        found = symbol_changes.show_symbol(warehouse, ticker)
    tables = {
        name: found.pop(name) for name in ("loaded", "set_aside", "accepted")
    }
    if as_json:
        records = {name: to_records(rows) for name, rows in tables.items()}
        click.echo(to_json(found | records))
        return
    for name, value in found.items():
        click.echo(f"{name}: {'-' if value is None else value}")
    for name, rows in tables.items():
        if rows.empty:
            click.echo(f"{name}: none")
            continue
        columns = {column: column for column in rows.columns}
        click.echo(f"{name}:")
        click.echo(to_text(rows, columns=columns, at_most=len(rows)))


@symbols.command(
    "add", epilog="Example: swiftbolt symbols add BTCUSD --calendar 24/7"
)
@click.argument("ticker")
@click.option(
    "--calendar",
    default="XNYS",
    show_default=True,
    help="Exchange calendar, for example 24/7.",
)
@click.option(
    "--currency", metavar="CODE", help="Of its prices, for example USD."
)
@json_option
def symbols_add(
    ticker: str, calendar: str, currency: str | None, as_json: bool
) -> None:
    """Add a symbol before its first bars are loaded."""
    from python_ml.ingestion import symbol_changes

    with open_warehouse(role="loader") as warehouse:
        symbol_changes.add_symbol(
            warehouse, ticker, calendar=calendar, currency=currency
        )
    print_done(
        f"Added {ticker} on {calendar}. Load its bars: swiftbolt ingest bars "
        f"FILE --calendar {calendar}",
        as_json,
        ticker=ticker,
        state="active",
        calendar=calendar,
    )


@symbols.command(
    "set-currency", epilog="Example: swiftbolt symbols set-currency VOD GBX"
)
@click.argument("ticker")
@click.argument("currency")
@json_option
def symbols_set_currency(ticker: str, currency: str, as_json: bool) -> None:
    """Say which currency the prices of a symbol are in; none is changed."""
    from python_ml.ingestion import symbol_changes

    with open_warehouse(role="loader") as warehouse:
        code = symbol_changes.set_currency(warehouse, ticker, currency)
    print_done(
        f"Prices of {ticker} are in {code}.",
        as_json,
        ticker=ticker,
        currency=code,
    )


@symbols.command(
    "rename", epilog="Example: swiftbolt symbols rename FB META --on 2022-06-09"
)
@click.argument("old")
@click.argument("new")
@click.option(
    "--on",
    type=DATE,
    metavar="DATE",
    help="First session under the new ticker; default today.",
)
@json_option
def symbols_rename(
    old: str, new: str, on: datetime.datetime | None, as_json: bool
) -> None:
    """Give a symbol another ticker; history, versions and forecasts stay.

    Bars that are loaded under the old ticker go to the same symbol from now on.
    """
    from python_ml.ingestion import symbol_changes

    with open_warehouse(role="loader") as warehouse:
        symbol_changes.rename_symbol(warehouse, old, new, on=on and on.date())
    print_done(
        f"{old} is {new} now. Built tables say so after: swiftbolt run",
        as_json,
        ticker=new,
        former_ticker=old,
    )


@symbols.command(
    "deactivate", epilog="Example: swiftbolt symbols deactivate IBM"
)
@click.argument("ticker")
@json_option
def symbols_deactivate(ticker: str, as_json: bool) -> None:
    """Take a symbol out of training and forecasting; its bars stay."""
    from python_ml.ingestion import symbol_changes

    with open_warehouse(role="loader") as warehouse:
        symbol_changes.deactivate_symbol(warehouse, ticker)
    print_done(
        f"{ticker} is in no job any more. Take it back with: swiftbolt "
        f"symbols activate {ticker}",
        as_json,
        ticker=ticker,
        state="deactivated",
    )


@symbols.command("activate", epilog="Example: swiftbolt symbols activate IBM")
@click.argument("ticker")
@json_option
def symbols_activate(ticker: str, as_json: bool) -> None:
    """Take a deactivated or delisted symbol back into every job."""
    from python_ml.ingestion import symbol_changes

    with open_warehouse(role="loader") as warehouse:
        symbol_changes.activate_symbol(warehouse, ticker)
    print_done(f"{ticker} is active.", as_json, ticker=ticker, state="active")


@symbols.command(
    "delist", epilog="Example: swiftbolt symbols delist TWTR --on 2022-10-27"
)
@click.argument("ticker")
@click.option(
    "--on",
    type=DATE,
    metavar="DATE",
    help="Its last session; default that of its newest bar.",
)
@json_option
def symbols_delist(
    ticker: str, on: datetime.datetime | None, as_json: bool
) -> None:
    """Say that a symbol has ceased to trade.

    Forecasts whose time comes later settle at its last price, and no more are
    issued.
    """
    from python_ml.ingestion import symbol_changes

    with open_warehouse(role="loader") as warehouse:
        closed_at = symbol_changes.delist_symbol(
            warehouse, ticker, on=on and on.date()
        )
    print_done(
        f"{ticker} is delisted as of {closed_at:%Y-%m-%d %H:%M} UTC. Its open "
        "forecasts settle at its last price with: swiftbolt run",
        as_json,
        ticker=ticker,
        state="delisted",
        delisted_at=closed_at,
    )


@symbols.command(
    "accept",
    epilog="Example: swiftbolt symbols accept XYZ --kind suspected_split "
    "--session 2024-03-01 --reason 'a takeover bid'",
)
@click.argument("ticker")
@click.option(
    "--kind",
    default="suspected_split",
    show_default=True,
    help="What was found, as monitoring.series_health gives the reason.",
)
@click.option(
    "--session",
    type=DATE,
    required=True,
    metavar="DATE",
    help="Session that it was found on.",
)
@click.option("--reason", required=True, help="Why it is right, in words.")
@json_option
def symbols_accept(
    ticker: str,
    kind: str,
    session: datetime.datetime,
    reason: str,
    as_json: bool,
) -> None:
    """Accept a finding on a symbol's bars: they are right as they are.

    Such as a jump that is no split. It keeps the symbol out of training and
    forecasting no more, and stays on record in ml.accepted_findings.
    """
    from python_ml.ingestion import symbol_changes

    with open_warehouse(role="loader") as warehouse:
        symbol_changes.accept_finding(
            warehouse,
            ticker,
            kind=kind,
            session_date=session.date(),
            reason=reason,
        )
    print_done(
        f"Accepted: {kind} of {ticker} on {session:%Y-%m-%d}. It is back "
        "after: swiftbolt run",
        as_json,
        ticker=ticker,
        kind=kind,
        session_date=session.date(),
        reason=reason,
    )
