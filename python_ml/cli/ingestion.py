"""Commands that load bars."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from python_ml.cli.options import json_option, series_options, split_map
from python_ml.cli.output import print_summary
from python_ml.cli.warehouse import open_warehouse
from python_ml.exceptions import PartlyRefusedError


@contextlib.contextmanager
def _summary_of_refusal(as_json: bool) -> Iterator[None]:
    """Print what was stored although parts were refused, then fail."""
    try:
        yield
    except PartlyRefusedError as error:
        print_summary(error.summary, as_json)
        raise


@click.group()
def ingest() -> None:
    """Load bars, splits and dividends; bad rows go to raw.rejected_bars."""


@ingest.command("sample", epilog="Example: swiftbolt ingest sample")
@json_option
def ingest_sample(as_json: bool) -> None:
    """Load the sample: daily bars of AAPL, GOOG, IBM and MSFT.

    They are real and in the public domain, as traded from 2000-03-01 to
    2013-03-01. FB, of the same package, is left out: it has too few bars.
    """
    from python_ml.ingestion.load import ingest
    from python_ml.ingestion.readers.sample import SampleSource

    with open_warehouse(role="loader") as warehouse:
        summary = ingest(warehouse, SampleSource())
    print_summary(summary, as_json)


@ingest.command(
    "bars",
    epilog="Example: swiftbolt ingest bars 'data/*.csv' --path-pattern "
    "'{symbol}.csv' --timeframe d1 --dry-run",
)
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@click.option(
    "--layout",
    metavar="NAME",
    help="Vendor's layout, see docs/vendors.md; default recognised.",
)
@click.option(
    "--columns",
    metavar="MAP",
    callback=split_map,
    help="Where fields stand, for example ts=Date,open=Open; ts=Date+Time "
    "joins two, numbers count columns from 1.",
)
@click.option("--symbol", help="Of all rows, where the files do not say.")
@click.option(
    "--timeframe",
    help="Of all rows, where the files do not say, for example 15Min.",
)
@click.option(
    "--path-pattern",
    metavar="PATTERN",
    help="Where paths have them, for example '{symbol}/{timeframe}.csv'; "
    "* stands for anything but a /.",
)
@click.option(
    "--calendar",
    default="XNYS",
    show_default=True,
    help="Of all symbols: an exchange calendar, such as 24/7, or one of the "
    "seed custom_calendars, such as fx.",
)
@click.option(
    "--currency",
    metavar="CODE",
    help="Of all prices, for example USD; default what a column of the files "
    "says, if any. Kept with the symbol, nothing is converted.",
)
@click.option(
    "--timezone",
    metavar="ZONE",
    help="Of times that name none, for example America/New_York.",
)
@click.option(
    "--date-format",
    metavar="FORMAT",
    help="Of times, for example '%d/%m/%Y %H:%M', or s, ms, us or ns since "
    "1970; default recognised.",
)
@click.option(
    "--decimal",
    type=click.Choice(["point", "comma"]),
    help="What stands before decimals; default recognised.",
)
@click.option(
    "--stamp",
    type=click.Choice(["open", "close"]),
    default="open",
    show_default=True,
    help="Whether times are those of a bar's open or close.",
)
@click.option(
    "--adjustments",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Splits and dividends: ticker, session_date (ex-date), kind (split or "
    "dividend) and factor, what earlier prices are multiplied by: 0.25 for a "
    "4-for-1 split. In its place ratio (4, or 4:1) for splits, amount (cash) "
    "for dividends.",
)
@click.option(
    "--accept-rejected",
    is_flag=True,
    help="Store what fits of a series of which more than a tenth of the rows "
    "are at times that no bar has, instead of refusing it.",
)
@click.option(
    "--source",
    metavar="NAME",
    help="Written beside every row; default the first path's name.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would be loaded and rejected, and write nothing.",
)
@series_options
@json_option
def ingest_bars(
    paths: tuple[Path, ...],
    calendar: str,
    source: str | None,
    timezone: str | None,
    adjustments: Path | None,
    accept_rejected: bool,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Load bars of any timeframe from files, folders or quoted globs.

    Parquet, .csv, .txt, .csv.gz and .txt.gz; separated by commas, semicolons
    or tabs; UTF-8 or UTF-16. Layout, columns, numbers and times are recognised
    and shown; what can be read in two ways is refused with the option that
    decides.

    A time is the open of the bar with its zone; for d1 the date will do,
    or midnight by the exchange's clocks, for w1 those of the Monday or the
    first session. Rows of a series stand in the order of their times. Prices
    are stored as given; a value that changed since the last load is a further
    record. A bad row is rejected, a file that cannot be read is left out (exit
    status 1), the others load.
    """
    from python_ml.ingestion.dry_run import try_ingest
    from python_ml.ingestion.load import ingest
    from python_ml.ingestion.readers.bar_file import BarFile, default_name

    bars = BarFile(
        paths,
        name=default_name(source, paths[0]),
        calendar=calendar,
        adjustments_path=adjustments,
        time_zone=timezone,
        **options,
    )
    with (
        open_warehouse(role="loader") as warehouse,
        _summary_of_refusal(as_json),
    ):
        if dry_run:
            print_summary(
                try_ingest(warehouse, bars, accept_rejected=accept_rejected),
                as_json,
            )
            return
        summary = ingest(
            warehouse,
            bars,
            arguments={"files": [str(path) for path in paths]},
            accept_rejected=accept_rejected,
        )
    print_summary(summary, as_json)
