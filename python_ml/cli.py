"""The command `swiftbolt`.

Every command is a few lines: parse, call the library, print. What is heavy is
imported inside the commands, so that help and completion are quick.
"""

import contextlib
import datetime
import functools
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import click
from click.core import ParameterSource

from python_ml.exceptions import SettingsError, SwiftBoltError
from python_ml.settings import Settings, load_settings

F = TypeVar("F", bound=Callable[..., Any])

LOG_LEVELS = ("debug", "info", "warning", "error")


class ErrorReportingGroup(click.Group):
    """Turns expected errors into one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            expected = _expected_error(error)
            if expected is None:
                raise
            message = " ".join(str(expected).split())
            click.echo(f"Error: {message}", err=True)
            ctx.exit(1)


def _expected_error(error: Exception) -> SwiftBoltError | None:
    if isinstance(error, SwiftBoltError):
        return error
    from python_ml.warehouse.errors import translate_database_error

    return translate_database_error(error)


def json_option(command: F) -> F:
    """Add `--json`, passed on as `as_json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print the result as JSON for machines.",
    )(command)


def series_options(command: F) -> F:
    """Add `--symbols` and `--timeframes`: tuples, None when not given."""
    for name, example in (("timeframes", "d1,w1"), ("symbols", "AAPL,IBM")):
        command = click.option(
            f"--{name}",
            metavar="LIST",
            callback=_split_list,
            help=f"Separated by commas, for example {example}; default all.",
        )(command)
    return command


def _split_list(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not names:
        raise click.BadParameter("names nothing.", context, parameter)
    return names


def _parse_as_of(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> datetime.datetime | None:
    """A date is its end, a time without a zone is UTC."""
    if value is None:
        return None
    from python_ml.examples.cuts import end_of_day

    with contextlib.suppress(ValueError):
        return end_of_day(datetime.date.fromisoformat(value))
    try:
        time = datetime.datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no date like 2012-06-29 and no time like "
            "2012-06-29T15:30:00Z.",
            context,
            parameter,
        ) from None
    return time.replace(tzinfo=time.tzinfo or datetime.UTC)


@click.group(cls=ErrorReportingGroup)
@click.version_option(package_name="swiftbolt-ml", prog_name="swiftbolt")
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default="info",
    envvar="SWIFTBOLT_LOG_LEVEL",
    show_default=True,
    show_envvar=True,
    help="Least level of the log on stderr.",
)
def main(log_level: str) -> None:
    """Forecast market prices from the warehouse."""
    from python_ml.console.logs import configure_logging

    configure_logging(log_level)


@main.group()
def db() -> None:
    """Run and reach the warehouse's database."""


@db.command("start", epilog="Example: swiftbolt db start")
def db_start() -> None:
    """Start the embedded server and bring its schemas up to date."""
    from python_ml.warehouse.connection import (
        migrate_to_head,
        open_warehouse,
    )
    from python_ml.warehouse.embedded import EmbeddedServer

    settings = _embedded_settings("start")
    was_running = EmbeddedServer(settings).status().is_running
    with open_warehouse(settings, migrate=False) as warehouse:
        before, after = migrate_to_head(warehouse)
        click.echo(
            f"{'Already running' if was_running else 'Started'}: "
            f"{warehouse.parameters}"
        )
    if before != after:
        click.echo(f"Migrated from {before or 'an empty database'} to {after}.")
    else:
        click.echo(f"Schemas are at migration {after}.")


@db.command("stop", epilog="Example: swiftbolt db stop")
def db_stop() -> None:
    """Stop the embedded server."""
    from python_ml.warehouse.embedded import EmbeddedServer

    was_running = EmbeddedServer(_embedded_settings("stop")).stop()
    click.echo("Stopped." if was_running else "It was not running.")


@db.command("status", epilog="Example: swiftbolt db status --json")
@json_option
def db_status(as_json: bool) -> None:
    """Say whether the database can be used; exit 0 if so, else 1."""
    from python_ml.warehouse.connection import database_status

    status = database_status(load_settings())
    if as_json:
        click.echo(json.dumps(status))
    else:
        for name, value in status.items():
            click.echo(f"{name}: {'-' if value is None else value}")
    sys.exit(0 if status["is_running"] else 1)


@db.command("url", epilog='Example: psql "$(swiftbolt db url)"')
def db_url() -> None:
    """Print the database's address, password included."""
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        click.echo(warehouse.parameters.url())


@db.command(
    "env",
    epilog='Example: eval "$(swiftbolt db env)" && cd dbt_project && dbt build',
)
def db_env() -> None:
    """Print shell lines after which dbt and psql reach the warehouse."""
    from python_ml.warehouse.connection import open_warehouse
    from python_ml.warehouse.dbt import dbt_environment

    with open_warehouse(load_settings()) as warehouse:
        values = dbt_environment(warehouse.settings, warehouse.parameters)
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@db.command(
    "psql",
    epilog="Example: swiftbolt db psql -c 'select * from ml.job_runs'",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def db_psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the warehouse; ARGUMENTS go to psql."""
    from python_ml.warehouse.connection import open_warehouse
    from python_ml.warehouse.embedded import wheel_package

    with open_warehouse(load_settings()) as warehouse:
        environment = os.environ | warehouse.parameters.environment()
    program = str(wheel_package() / "pginstall" / "bin" / "psql")
    sys.stdout.flush()
    os.execve(program, [program, *arguments], environment)


@main.group()
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
    from python_ml.ingestion.sample import SampleSource
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        summary = ingest(warehouse, SampleSource())
    click.echo(json.dumps(summary.to_dict()) if as_json else summary.to_text())


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
    help="Exchange calendar of all symbols, for example 24/7.",
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
    help="Splits and dividends: ticker, session_date, kind, factor.",
)
@series_options
@json_option
def ingest_bars(
    files: tuple[Path, ...],
    calendar: str,
    source: str | None,
    timezone: str | None,
    adjustments: Path | None,
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """Load bars of any timeframe from parquet or CSV files.

    Columns: symbol, timeframe (m15, h1, h4, d1, w1), ts, open, high, low,
    close, volume. ts is the open of the bar with its time zone; for d1 the
    date will do, for w1 the Monday or the first session's date. Rows of a
    series stand in the order of their times. Prices are stored as given; a
    value that changed since the last load is a further record.
    """
    from python_ml.ingestion.bar_file import BarFile, source_name
    from python_ml.ingestion.load import ingest
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
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
        )
    click.echo(json.dumps(summary.to_dict()) if as_json else summary.to_text())


@main.command("build", epilog="Example: swiftbolt build --as-of 2012-06-29")
@click.option(
    "--as-of",
    callback=_parse_as_of,
    metavar="DATE",
    help="Build what was known at the end of this day, or at this time (UTC).",
)
@click.option(
    "--full-refresh",
    is_flag=True,
    help="Build every table anew, not only what has changed.",
)
@json_option
def build(
    as_of: datetime.datetime | None, full_refresh: bool, as_json: bool
) -> None:
    """Build and test features, labels and views with dbt.

    With --as-of, bars that closed and records that were known by then, into
    schemas of its own such as asof_20120629_features.
    """
    from python_ml.operations import daily as pipeline
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        summary = pipeline.build(
            warehouse, as_of=as_of, full_refresh=full_refresh
        )
    counts = {"nodes": summary.n_nodes, **summary.counts}
    click.echo(
        json.dumps(counts | {"seconds": summary.duration_seconds})
        if as_json
        else f"Built in {summary.duration_seconds:.1f} s: "
        + ", ".join(f"{count} {name}" for name, count in counts.items())
    )


@main.command("run", epilog="Example: swiftbolt run")
@json_option
def run(as_json: bool) -> None:
    """Build, validate, train if nothing is deployed, forecast, check drift.

    The daily command. Run it again after a failure: it goes on where it
    stopped and does nothing twice.
    """
    from python_ml.console.text_tables import to_records
    from python_ml.forecasting import issue as forecasting
    from python_ml.monitoring.drift import drift_table
    from python_ml.operations import daily as pipeline
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        summary = pipeline.run(warehouse)
        latest = forecasting.latest_forecasts(warehouse)
    if as_json:
        result = {
            "build": summary.build.counts,
            "training": summary.training and summary.training.to_dict(),
            "forecasts": summary.forecasts.to_dict(),
            "latest_forecasts": to_records(latest),
            "drift": to_records(summary.drift),
        }
        click.echo(json.dumps(result))
        return
    if summary.training is not None:
        click.echo(summary.training.to_text() + "\n")
    click.echo(summary.forecasts.to_text() + "\n")
    click.echo(forecasting.forecast_table(latest) + "\n")
    click.echo(drift_table(summary.drift))


@main.command("validate", epilog="Example: swiftbolt validate")
@json_option
def validate(as_json: bool) -> None:
    """Run the suites of expectations/ over the warehouse; exit 1 on failure.

    Every expectation's result goes to ml.validation_results, and pages to the
    folder `validation` of SWIFTBOLT_HOME: summary.html needs no network. What
    cannot be judged counts as failed: a suite that did not load whole, an
    empty table.
    """
    from python_ml.warehouse.connection import open_warehouse
    from python_ml.warehouse.jobs import job_run
    from python_ml.warehouse.validation import (
        default_pages_dir,
        judge,
        raise_on_failure,
    )

    with (
        open_warehouse(load_settings()) as warehouse,
        job_run(warehouse, "validate", {}) as job,
    ):
        summary = judge(
            warehouse,
            job_run_id=job.job_run_id,
            pages_dir=default_pages_dir(warehouse.settings),
        )
        job.counts.update(summary.counts())
        click.echo(
            json.dumps(summary.to_dict()) if as_json else summary.to_text()
        )
        raise_on_failure(summary)


# What `train --requested` takes from the requests.
SET_BY_REQUESTS = (
    "symbols",
    "timeframes",
    "is_all",
    "as_of",
    "split",
    "trigger",
)


@main.command(
    "train", epilog="Example: swiftbolt train --symbols AAPL --timeframes d1"
)
@series_options
@click.option("--all", "is_all", is_flag=True, help="Train every series.")
@click.option(
    "--requested",
    "is_requested",
    is_flag=True,
    help="Train what ml.retrain_requests asks for, as of the last bars.",
)
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Use nothing that closed after this day (UTC); default the last bar.",
)
@click.option(
    "--split",
    type=click.Choice(["70/30", "60/40", "80/20"]),
    default="70/30",
    show_default=True,
    help="Fit and validation, in percent of the window.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Processes; default one per core.",
)
@click.option(
    "--trigger",
    type=click.Choice(["manual", "scheduled", "drift"]),
    default="manual",
    show_default=True,
    help="Why, for the record.",
)
@click.option(
    "--promote",
    "promotion",
    type=click.Choice(["judge", "always", "never"]),
    default="judge",
    show_default=True,
    help="Deploy what is not worse than what is live, or all, or nothing.",
)
@json_option
def train(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    is_all: bool,
    is_requested: bool,
    as_of: datetime.datetime | None,
    split: str,
    jobs: int | None,
    trigger: str,
    promotion: Literal["judge", "always", "never"],
    as_json: bool,
) -> None:
    """Fit, weigh and score an ensemble for every series asked for.

    New versions are deployed horizon by horizon where they are not worse than
    those live on the same bars, over all series of a timeframe; the verdicts
    are in ml.promotions. A series that has a version for the same rows, cut
    and settings is up to date, so the same command again finishes what was
    interrupted.
    """
    if is_requested:
        context = click.get_current_context()
        given = [
            option.opts[0]
            for option in context.command.params
            if option.name in SET_BY_REQUESTS
            and context.get_parameter_source(option.name)
            is not ParameterSource.DEFAULT
        ]
        if given:
            raise click.UsageError(
                "--requested says itself which series are trained and how: "
                f"leave out {', '.join(given)}."
            )
        _train_requested(promotion, jobs, as_json)
        return
    if is_all == (symbols is not None):
        raise click.UsageError(
            "Give either --symbols or --all; --timeframes narrows both."
        )
    from python_ml.examples.cuts import end_of_day
    from python_ml.training import train as training
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        summary = training.train(
            warehouse,
            symbols=symbols,
            timeframes=timeframes,
            as_of=end_of_day(as_of.date()) if as_of else None,
            split=split,
            trigger=trigger,
            promotion=promotion,
            n_jobs=jobs,
        )
    click.echo(json.dumps(summary.to_dict()) if as_json else summary.to_text())


def _train_requested(
    promotion: Literal["judge", "always", "never"],
    jobs: int | None,
    as_json: bool,
) -> None:
    from python_ml.training.requests import serve_requests
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        summary = serve_requests(warehouse, promotion=promotion, n_jobs=jobs)
    click.echo(json.dumps(summary.to_dict()) if as_json else summary.to_text())


@main.command(
    "update-weights",
    epilog="Example: swiftbolt update-weights --timeframes d1",
)
@series_options
@json_option
def update_weights(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """Weigh the members of what is live anew; the weekly job.

    From settled forecasts where a timeframe and horizon has enough of them,
    else from validation. Members are not fitted again. Weights that moved are
    a new version, deployed at once; the same ledger twice makes no second.
    """
    from python_ml.training import weight_updates
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        summary = weight_updates.update_weights(
            warehouse, symbols=symbols, timeframes=timeframes
        )
    columns = {
        "ticker": "ticker",
        "timeframe": "timeframe",
        "horizon": "horizon",
        "outcome": "outcome",
        "source": "weighed on",
        "n_effective": "effective labels",
        "version_id": "version",
    }
    _echo_frame(summary.results, columns, as_json)


@main.command(
    "request-retrain",
    epilog="Example: swiftbolt request-retrain --symbols AAPL --timeframes d1 "
    "--reason 'new listing of its main rival'",
)
@series_options
@click.option("--reason", required=True, help="For the record.")
@click.option(
    "--by",
    "requested_by",
    metavar="NAME",
    help="Who asks; default the user of this process.",
)
@json_option
def request_retrain(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    reason: str,
    requested_by: str | None,
    as_json: bool,
) -> None:
    """Ask for series to be trained again by `swiftbolt train --requested`.

    A series has at most one open request.
    """
    import getpass

    from python_ml.training import requests as retrain_requests
    from python_ml.warehouse.connection import open_warehouse

    if symbols is None and timeframes is None:
        raise click.UsageError("Give --symbols, --timeframes or both.")
    with open_warehouse(load_settings()) as warehouse:
        frame = retrain_requests.request_retrain(
            warehouse,
            symbols=symbols,
            timeframes=timeframes,
            reason=reason,
            requested_by=requested_by or getpass.getuser(),
        )
    columns = {
        "ticker": "ticker",
        "timeframe": "timeframe",
        "is_new": "newly requested",
    }
    _echo_frame(frame, columns, as_json)


@main.group()
def models() -> None:
    """See versions, and decide which is live."""


def chosen_series_options(command: F) -> F:
    """Add `--symbols`, `--timeframes` and `--all`, of which one is needed."""

    @functools.wraps(command)
    def checked(*arguments: Any, is_all: bool, **keywords: Any) -> Any:
        is_chosen = keywords["symbols"] or keywords["timeframes"]
        if is_all == bool(is_chosen):
            raise click.UsageError(
                "Give either --symbols and --timeframes or --all."
            )
        return command(*arguments, **keywords)

    with_all = click.option("--all", "is_all", is_flag=True, help="All series.")
    return cast(F, series_options(with_all(checked)))


def _echo_frame(frame: Any, columns: dict[str, str], as_json: bool) -> None:
    from python_ml.console.text_tables import (
        to_records,
        to_text,
    )
    from python_ml.warehouse.connection import to_json

    if as_json:
        click.echo(to_json(to_records(frame)))
        return
    for name in frame.columns:
        if frame[name].map(lambda value: isinstance(value, list)).any():
            frame = frame.assign(**{name: frame[name].map(", ".join)})
    click.echo(to_text(frame, columns=columns, at_most=len(frame)))


@models.command("list", epilog="Example: swiftbolt models list --symbols AAPL")
@chosen_series_options
@json_option
def models_list(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """List versions, newest first, with the horizons they are live for."""
    from python_ml.registry import inspection as models
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        frame = models.list_versions(
            warehouse, symbols=symbols, timeframes=timeframes
        )
    columns = {
        "version_id": "version",
        "as_of": "as of (UTC)",
        "live_horizons": "live for",
        "was_deployed": "was deployed",
        "artifact": "artifact",
    }
    _echo_frame(frame, columns, as_json)


@models.command(
    "show",
    epilog="Example: swiftbolt models show AAPL_d1_20120629T210000Z",
)
@click.argument("version_id", metavar="VERSION")
@json_option
def models_show(version_id: str, as_json: bool) -> None:
    """Show all that is on record about a version."""
    from python_ml.registry import inspection as models
    from python_ml.warehouse.connection import open_warehouse, to_json

    with open_warehouse(load_settings()) as warehouse:
        found = models.show_version(warehouse, version_id)
    if as_json:
        click.echo(to_json(found))
        return
    for name, value in found.items():
        if not isinstance(value, list):
            click.echo(f"{name}: {'-' if value is None else value}")
            continue
        click.echo(f"{name}:")
        for row in value:
            click.echo(f"  {to_json(row)}")


@models.command(
    "compare",
    epilog="Example: swiftbolt models compare AAPL_d1_20120629T210000Z "
    "AAPL_d1_20121231T210000Z",
)
@click.argument("version_a", metavar="A")
@click.argument("version_b", metavar="B")
@json_option
def models_compare(version_a: str, version_b: str, as_json: bool) -> None:
    """Compare two versions of a series, on the same bars where there are any.

    difference is the log loss of B less that of A over bars of which both
    have a forecast or a validation row: below 0, B is better.
    """
    from python_ml.registry import inspection as models
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        frame = models.compare_versions(warehouse, version_a, version_b)
    columns = {
        "horizon": "horizon",
        "skill_a": "skill A",
        "skill_se_a": "+-",
        "skill_b": "skill B",
        "skill_se_b": "+- ",
        "ensemble_validation_accuracy_a": "accuracy A",
        "ensemble_validation_accuracy_b": "accuracy B",
        "n_paired": "paired bars",
        "difference": "difference",
        "difference_se": " +-",
    }
    _echo_frame(frame, columns, as_json)


@models.command(
    "history",
    epilog="Example: swiftbolt models history --symbols AAPL --at 2012-12-31",
)
@chosen_series_options
@click.option(
    "--at",
    callback=_parse_as_of,
    metavar="DATE",
    help="Only what was live at the end of this day, or at this time (UTC).",
)
@json_option
def models_history(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    at: datetime.datetime | None,
    as_json: bool,
) -> None:
    """Say which version was live when, by series and horizon."""
    from python_ml.registry import inspection as models
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        frame = models.history(
            warehouse, symbols=symbols, timeframes=timeframes, at=at
        )
    columns = {
        "ticker": "ticker",
        "timeframe": "timeframe",
        "horizon": "horizon",
        "version_id": "version",
        "effective_at": "live from (UTC)",
        "superseded_at": "to",
        "reason": "reason",
    }
    _echo_frame(frame, columns, as_json)


def effective_at_option(command: F) -> F:
    """Add `--effective-at`: a time, None for now."""
    return click.option(
        "--effective-at",
        type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
        callback=lambda _context, _parameter, value: (
            value and value.replace(tzinfo=datetime.UTC)
        ),
        metavar="TIME",
        help="First close (UTC) that the version forecasts; default now.",
    )(command)


DEPLOYED_COLUMNS = {
    "version_id": "deployed",
    "horizons": "horizons",
    "effective_at": "live from (UTC)",
}


@models.command(
    "promote",
    epilog="Example: swiftbolt models promote AAPL_d1_20120629T210000Z "
    "--reason 'the new one reads a wrong feature'",
)
@click.argument("version_id", metavar="VERSION")
@click.option("--reason", required=True, help="For the record.")
@click.option(
    "--horizons",
    callback=_split_list,
    metavar="LIST",
    help="Separated by commas; default all of the version.",
)
@effective_at_option
@json_option
def models_promote(
    version_id: str,
    reason: str,
    horizons: tuple[str, ...] | None,
    effective_at: datetime.datetime | None,
    as_json: bool,
) -> None:
    """Deploy a version by hand, unjudged.

    Refused if forecasts could not be made with it.
    """
    from python_ml.registry import inspection as models
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        frame = models.promote_version(
            warehouse,
            version_id,
            reason=reason,
            horizons=horizons,
            effective_at=effective_at,
        )
    _echo_frame(frame, DEPLOYED_COLUMNS, as_json)


@models.command(
    "rollback",
    epilog="Example: swiftbolt models rollback --symbols AAPL --timeframes d1 "
    "--reason 'worse since Monday'",
)
@series_options
@click.option("--all", "is_all", is_flag=True, help="All series.")
@click.option(
    "--to", metavar="VERSION", help="Go back to this one; names its series."
)
@click.option(
    "--reason", default="rollback", show_default=True, help="For the record."
)
@effective_at_option
@json_option
def models_rollback(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    is_all: bool,
    to: str | None,
    reason: str,
    effective_at: datetime.datetime | None,
    as_json: bool,
) -> None:
    """Go back to the versions that were live before.

    One deployment for each series, from now on; forecasts issued already stay.
    All series asked for or, where one has nothing to go back to, none.
    """
    if (to is not None) + is_all + bool(symbols or timeframes) != 1:
        raise click.UsageError(
            "Give --symbols and --timeframes, or --all, or --to VERSION."
        )
    from python_ml.registry import inspection as models
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        frame = models.rollback(
            warehouse,
            symbols=symbols,
            timeframes=timeframes,
            to=to,
            reason=reason,
            effective_at=effective_at,
        )
    _echo_frame(frame, DEPLOYED_COLUMNS, as_json)


@models.command("verify", epilog="Example: swiftbolt models verify --all")
@chosen_series_options
@json_option
def models_verify(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """Check every artifact's checksum; exit 1 and list those damaged."""
    from python_ml.registry import inspection as models
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        frame = models.verify_versions(
            warehouse, symbols=symbols, timeframes=timeframes
        )
    damaged = frame[frame["state"] == "damaged"]
    if as_json:
        _echo_frame(frame, {}, as_json)
    else:
        for name in damaged["artifact_path"]:
            click.echo(f"Damaged or missing: {name}")
        counts = frame["state"].value_counts()
        click.echo(
            ", ".join(f"{count} {state}" for state, count in counts.items())
            + "."
        )
    sys.exit(1 if len(damaged) else 0)


@models.command(
    "prune", epilog="Example: swiftbolt models prune --all --keep 3 --yes"
)
@chosen_series_options
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Newest versions of each series to keep.",
)
@click.option("--yes", "is_sure", is_flag=True, help="Do it.")
@json_option
def models_prune(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    keep: int,
    is_sure: bool,
    as_json: bool,
) -> None:
    """Remove artifacts of old versions that were never deployed.

    Without --yes it only says which. Rows stay, and so does all that a version
    that is or was deployed needs.
    """
    from python_ml.registry import inspection as models
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        pruning = models.prune(
            warehouse,
            keep=keep,
            symbols=symbols,
            timeframes=timeframes,
            is_dry_run=not is_sure,
        )
    frame = pruning.artifacts
    if as_json:
        _echo_frame(frame, {}, as_json)
        return
    for name in frame["artifact_path"]:
        click.echo(name)
    done = "Removed" if pruning.is_done else "Would remove (--yes does)"
    click.echo(
        f"{done}: {len(frame)} artifacts, {frame['megabytes'].sum():.1f} MB."
    )


@main.command(
    "diff-training-set",
    epilog="Example: swiftbolt diff-training-set AAPL_d1_20120629T210000Z "
    "AAPL_d1_20121231T210000Z --rows 20",
)
@click.argument("version_a", metavar="A")
@click.argument("version_b", metavar="B")
@click.option(
    "--rows",
    "n_rows",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="List the first N changed rows.",
)
@json_option
def diff_training_set(
    version_a: str, version_b: str, n_rows: int, as_json: bool
) -> None:
    """Show what changed between the training sets of two versions.

    A and B are versions of one series (ml.ensembles). What each was trained
    on is built again from what had been loaded by then; rows are added,
    removed, restated (another value) or moved (another part of the split).
    """
    from python_ml.training.training_sets import diff_training_sets
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        diff = diff_training_sets(warehouse, version_a, version_b)
    click.echo(
        json.dumps(diff.to_dict(n_rows=n_rows))
        if as_json
        else diff.to_text(n_rows=n_rows)
    )


@main.command(
    "forecast",
    epilog="Example: swiftbolt forecast --symbols AAPL --timeframes d1",
)
@series_options
@click.option(
    "--replay-from",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Forecast past bars from this day (UTC) on, as a replay.",
)
@json_option
def forecast(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    replay_from: datetime.datetime | None,
    as_json: bool,
) -> None:
    """Issue the forecasts that are due and print the latest of each series.

    Each bar is forecast by the version that was deployed at its close. What
    is in ml.forecasts already stays as it is.
    """
    from python_ml.console.text_tables import to_records
    from python_ml.forecasting import issue as forecasting
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        summary = forecasting.forecast(
            warehouse,
            symbols=symbols,
            timeframes=timeframes,
            replay_from=replay_from.date() if replay_from else None,
        )
        latest = forecasting.latest_forecasts(
            warehouse, symbols=symbols, timeframes=timeframes
        )
    if as_json:
        result = summary.to_dict() | {"latest_forecasts": to_records(latest)}
        click.echo(json.dumps(result))
    else:
        click.echo(summary.to_text())
        click.echo("\n" + forecasting.forecast_table(latest))


@main.command("check-drift", epilog="Example: swiftbolt check-drift --json")
@json_option
def check_drift(as_json: bool) -> None:
    """Settle forecasts and print how each series is doing.

    Drift is a result, not a failure: whatever the status, the exit status is
    0. Every check is kept in ml.drift_checks.
    """
    from python_ml.console.text_tables import to_records
    from python_ml.monitoring import drift
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        status = drift.check_drift(warehouse)
    click.echo(
        json.dumps(to_records(status)) if as_json else drift.drift_table(status)
    )


def _embedded_settings(verb: str) -> Settings:
    settings = load_settings()
    if settings.target != "embedded":
        raise SettingsError(
            f"SWIFTBOLT_TARGET is {settings.target}, a server that is not "
            f"ours to {verb}. Use SWIFTBOLT_TARGET=embedded for our own."
        )
    return settings


if __name__ == "__main__":
    main()
