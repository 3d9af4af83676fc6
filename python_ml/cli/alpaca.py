"""The command that loads bars from Alpaca."""

import datetime
import os

import click

from python_ml.cli.options import json_option, series_options
from python_ml.cli.output import print_summary
from python_ml.cli.warehouse import open_warehouse


@click.command(
    "alpaca",
    epilog="Example: swiftbolt ingest alpaca --symbols AAPL,MSFT "
    "--timeframes m15,d1",
)
@series_options
@click.option(
    "--from",
    "start",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Where a series begins that holds no bars; default 10 years ago, m15 "
    "5 years.",
)
@click.option(
    "--feed",
    type=click.Choice(["sip", "iex"]),
    default="sip",
    show_default=True,
    help="All US exchanges, or the free one in real time, with few trades.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Read series that hold bars from --from on, too.",
)
@click.option(
    "--base-url",
    envvar="APCA_API_DATA_URL",
    show_envvar=True,
    metavar="URL",
    help="Of the service or a proxy; default https://data.alpaca.markets.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="For the connection, and each silence while an answer comes.",
)
@click.option(
    "--attempts",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="How often a request is tried, with growing waits.",
)
@json_option
def ingest_alpaca(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    start: datetime.datetime | None,
    feed: str,
    again: bool,
    base_url: str | None,
    timeout: float,
    attempts: int,
    as_json: bool,
) -> None:
    """Load bars of US shares from Alpaca, with splits and dividends.

    Keys come from APCA_API_KEY_ID and APCA_API_SECRET_KEY. The first load of
    a series begins at --from, each later one at its newest bar. Without
    --symbols, all series that were loaded from this feed before; with it,
    --timeframes are d1 by default.

    Timeframes are m15, d1 and w1. Alpaca's hours begin on the hour and
    sessions at half past nine: load m15, and h1 and h4 are rolled up from it.
    Weeks are rolled up from d1 where w1 is not loaded.

    Symbols are loaded in batches; what is loaded stays when a later batch
    fails, and a series is loaded whole or not at all.
    """
    from python_ml.ingestion.readers.alpaca import AlpacaSource, open_service
    from python_ml.ingestion.readers.alpaca_series import (
        BARS_PER_SESSION,
        check_timeframes,
        series_to_read,
    )
    from python_ml.ingestion.readers.patient_http import Patience
    from python_ml.ingestion.resume import in_batches, ingest_batches

    check_timeframes(timeframes or ())
    service = open_service(
        os.environ,
        base_url=base_url,
        patience=Patience(attempts=attempts, timeout_seconds=timeout),
    )
    with open_warehouse(role="loader") as warehouse:
        wanted = series_to_read(
            warehouse,
            symbols,
            timeframes,
            feed=feed,
            first_date=start.date() if start else None,
            again=again,
        )
        sources = [
            AlpacaSource(service, batch, feed=feed)
            for batch in in_batches(
                wanted,
                today=datetime.date.today(),
                bars_per_session=BARS_PER_SESSION,
            )
        ]
        summary = ingest_batches(
            warehouse, sources, arguments={"feed": feed, "again": again}
        )
    print_summary(summary, as_json)
