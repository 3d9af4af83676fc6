"""Commands that run the system through history."""

import datetime

import click

from python_ml.cli.options import json_option, series_options
from python_ml.cli.output import print_summary
from python_ml.cli.warehouse import open_warehouse

# As python_ml/operations/backtest/schedule.py has them, where importing them
# would make help slow; a test holds the two together.
INTERVALS = ("never", "weekly", "monthly", "quarterly", "yearly")
POLICIES = ("calendar", "drift", "both")


def _to_date(
    _context: click.Context,
    _parameter: click.Parameter,
    value: datetime.datetime,
) -> datetime.date:
    return value.date()


@click.command(
    "backtest",
    epilog=(
        "Example: swiftbolt backtest --from 2012-01-01 --to 2012-12-31 "
        "--symbols AAPL --timeframes d1"
    ),
)
@click.option(
    "--from",
    "from_date",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=_to_date,
    required=True,
    metavar="DATE",
    help="First day (UTC) whose bars are forecast.",
)
@click.option(
    "--to",
    "to_date",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=_to_date,
    required=True,
    metavar="DATE",
    help="Last day (UTC) whose bars are forecast.",
)
@click.option(
    "--retrain",
    type=click.Choice(INTERVALS),
    default="monthly",
    show_default=True,
    help="How often the calendar retrains.",
)
@click.option(
    "--weights",
    type=click.Choice(INTERVALS),
    default="weekly",
    show_default=True,
    help="How often weights are fitted anew on what has settled.",
)
@click.option(
    "--policy",
    type=click.Choice(POLICIES),
    default="calendar",
    show_default=True,
    help="What retrains: the calendar, a judgement of drift, or both.",
)
@series_options
@click.option(
    "--name",
    metavar="NAME",
    help="Of the run; default its policy and days. The same again goes on.",
)
@click.option(
    "--jobs",
    "n_jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that fit; default one per core.",
)
@json_option
def backtest(
    from_date: datetime.date,
    to_date: datetime.date,
    retrain: str,
    weights: str,
    policy: str,
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    name: str | None,
    n_jobs: int | None,
    as_json: bool,
) -> None:
    """Train, weigh and forecast through history as if it were live.

    The first training knows the end of the day before --from. Forecasts go to
    ml.forecasts with run_kind backtest and count in nothing that is live;
    what the run trains is its own and never deployed. Prints this run beside
    all others, as monitoring.backtest_runs has them. Ended half-way, the same
    command does what is missing.
    """
    from python_ml.operations.backtest.run import default_name, run_backtest
    from python_ml.operations.backtest.schedule import Schedule

    schedule = Schedule(from_date, to_date, retrain, weights, policy)
    with open_warehouse() as warehouse:
        summary = run_backtest(
            warehouse,
            name or default_name(schedule),
            schedule,
            symbols=symbols,
            timeframes=timeframes,
            n_jobs=n_jobs,
        )
    print_summary(summary, as_json)


@click.command(
    "lookahead-check",
    epilog="Example: swiftbolt lookahead-check --timeframes d1 --cuts 2",
)
@series_options
@click.option(
    "--cuts",
    "n_cuts",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Random times at which history is cut.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Decides the times; another seed tries others.",
)
@json_option
def lookahead_check(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    n_cuts: int,
    seed: int,
    as_json: bool,
) -> None:
    """Build what was known at random times and compare it with today.

    Every feature row, label and scoring example up to a cut, and forecasts of
    the last days by what is live, must be the same as with all later bars.
    What differs by more than 1e-9 is listed with column, series and bar, and
    exit is 1. Run it after a change to the SQL: build, then check. Schemas
    that it makes are dropped again; live tables stay as they are.
    """
    from python_ml.operations.lookahead.check import (
        check_lookahead,
        raise_on_findings,
    )

    with open_warehouse() as warehouse:
        summary = check_lookahead(
            warehouse,
            symbols=symbols,
            timeframes=timeframes,
            n_cuts=n_cuts,
            seed=seed,
        )
    print_summary(summary, as_json)
    raise_on_findings(summary)
