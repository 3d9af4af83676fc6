"""Commands that load bars."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from python_ml.cli.options import json_option, series_options
from python_ml.cli.output import print_summary
from python_ml.cli.warehouse import open_warehouse
from python_ml.exceptions import SeriesRefusedError


@contextlib.contextmanager
def _summary_of_refusal(as_json: bool) -> Iterator[None]:
    """Print what was stored although series were refused, then fail."""
    try:
        yield
    except SeriesRefusedError as error:
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

    with open_warehouse() as warehouse:
        summary = ingest(warehouse, SampleSource())
    print_summary(summary, as_json)


@ingest.command(
    "bars",
    epilog="Example: swiftbolt ingest bars bars.parquet --timeframes m15,d1",
)
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@click.option(
    "--calendar",
    default="XNYS",
    show_default=True,
    help="Of all symbols: an exchange calendar, such as 24/7, or one of the "
    "seed custom_calendars, such as fx.",
)
@click.option(
    "--source",
    metavar="NAME",
    help="Written beside every row; default the first file's name.",
)
@click.option(
    "--timezone",
    metavar="ZONE",
    help="Of times that name none, for example America/New_York.",
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
@series_options
@json_option
def ingest_bars(
    files: tuple[Path, ...],
    calendar: str,
    source: str | None,
    timezone: str | None,
    adjustments: Path | None,
    accept_rejected: bool,
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """Load bars of any timeframe from parquet or CSV files.

    Columns: symbol, timeframe (m15, h1, h4, d1, w1), ts, open, high, low,
    close, volume. ts is the open of the bar with its time zone; for d1 the
    date will do, or midnight by the exchange's clocks, for w1 those of the
    Monday or the first session. Rows of a
    series stand in the order of their times. Prices are stored as given; a
    value that changed since the last load is a further record.
    """
    from python_ml.ingestion.load import ingest
    from python_ml.ingestion.readers.bar_file import BarFile, source_name

    with open_warehouse() as warehouse, _summary_of_refusal(as_json):
        summary = ingest(
            warehouse,
            BarFile(
                files,
                name=source_name(source or files[0].stem),
                calendar=calendar,
                adjustments_path=adjustments,
                time_zone=timezone,
                symbols=symbols,
                timeframes=timeframes,
            ),
            arguments={"files": [str(file) for file in files]},
            accept_rejected=accept_rejected,
        )
    print_summary(summary, as_json)
