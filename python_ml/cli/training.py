"""Commands that train, and that ask for or explain a training."""

import datetime
import json
from typing import Literal

import click
from click.core import ParameterSource

from python_ml.cli.options import json_option, series_options
from python_ml.cli.output import print_frame, print_summary
from python_ml.cli.warehouse import open_warehouse

# What `train --requested` takes from the requests.
SET_BY_REQUESTS = (
    "symbols",
    "timeframes",
    "is_all",
    "as_of",
    "split",
    "trigger",
    "method",
    "alpha",
)


@click.command(
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
@click.option(
    "--weights",
    "method",
    type=click.Choice(["equal", "least_squares", "ridge", "lasso"]),
    help="How members are weighed this time; default by the seed weighting.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(min=0),
    help="Penalty of --weights ridge or lasso; default 1.",
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
    method: Literal["equal", "least_squares", "ridge", "lasso"] | None,
    alpha: float | None,
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
        _refuse_options_set_by_requests(click.get_current_context())
        _train_requested(promotion, jobs, as_json)
        return
    if is_all == (symbols is not None):
        raise click.UsageError(
            "Give either --symbols or --all; --timeframes narrows both."
        )
    if alpha is not None and method not in ("ridge", "lasso"):
        raise click.UsageError(
            "--alpha is the penalty of ridge and lasso: give --weights ridge "
            "or --weights lasso with it."
        )
    from python_ml.examples.cuts import end_of_day
    from python_ml.scoring.weights import DEFAULT_ALPHA, WeightSettings
    from python_ml.training import train as training

    weights = None
    if method is not None:
        weights = WeightSettings(
            method, DEFAULT_ALPHA if alpha is None else alpha
        )
    with open_warehouse(role="trainer") as warehouse:
        summary = training.train(
            warehouse,
            symbols=symbols,
            timeframes=timeframes,
            as_of=end_of_day(as_of.date()) if as_of else None,
            split=split,
            trigger=trigger,
            promotion=promotion,
            weights=weights,
            n_jobs=jobs,
        )
    print_summary(summary, as_json)


def _refuse_options_set_by_requests(context: click.Context) -> None:
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


def _train_requested(
    promotion: Literal["judge", "always", "never"],
    jobs: int | None,
    as_json: bool,
) -> None:
    from python_ml.training.requests import serve_requests

    with open_warehouse(role="trainer") as warehouse:
        summary = serve_requests(warehouse, promotion=promotion, n_jobs=jobs)
    print_summary(summary, as_json)


@click.command(
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

    with open_warehouse(role="trainer") as warehouse:
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
    print_frame(summary.results, columns, as_json)


@click.command(
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
    if symbols is None and timeframes is None:
        raise click.UsageError("Give --symbols, --timeframes or both.")
    import getpass

    from python_ml.training import requests as retrain_requests

    with open_warehouse(role="trainer") as warehouse:
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
    print_frame(frame, columns, as_json)


@click.command(
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
    from python_ml.training.training_set_diff import diff_training_sets

    with open_warehouse() as warehouse:
        diff = diff_training_sets(warehouse, version_a, version_b)
    click.echo(
        json.dumps(diff.to_dict(n_rows=n_rows))
        if as_json
        else diff.to_text(n_rows=n_rows)
    )
