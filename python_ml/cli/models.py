"""Commands on versions: which there are, and which is live."""

import datetime
import sys

import click

from python_ml.cli.options import (
    chosen_series_options,
    effective_at_option,
    json_option,
    parse_as_of,
    series_options,
    split_list,
)
from python_ml.cli.output import print_frame
from python_ml.cli.warehouse import open_warehouse

DEPLOYED_COLUMNS = {
    "version_id": "deployed",
    "horizons": "horizons",
    "effective_at": "live from (UTC)",
}


@click.group()
def models() -> None:
    """See versions, and decide which is live."""


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

    with open_warehouse() as warehouse:
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
    print_frame(frame, columns, as_json)


@models.command(
    "show",
    epilog="Example: swiftbolt models show AAPL_d1_20120629T210000Z",
)
@click.argument("version_id", metavar="VERSION")
@json_option
def models_show(version_id: str, as_json: bool) -> None:
    """Show all that is on record about a version."""
    from python_ml.console.json_text import to_json
    from python_ml.registry import inspection as models

    with open_warehouse() as warehouse:
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

    with open_warehouse() as warehouse:
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
    print_frame(frame, columns, as_json)


@models.command(
    "history",
    epilog="Example: swiftbolt models history --symbols AAPL --at 2012-12-31",
)
@chosen_series_options
@click.option(
    "--at",
    callback=parse_as_of,
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

    with open_warehouse() as warehouse:
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
    print_frame(frame, columns, as_json)


@models.command(
    "promote",
    epilog="Example: swiftbolt models promote AAPL_d1_20120629T210000Z "
    "--reason 'the new one reads a wrong feature'",
)
@click.argument("version_id", metavar="VERSION")
@click.option("--reason", required=True, help="For the record.")
@click.option(
    "--horizons",
    callback=split_list,
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

    with open_warehouse() as warehouse:
        frame = models.promote_version(
            warehouse,
            version_id,
            reason=reason,
            horizons=horizons,
            effective_at=effective_at,
        )
    print_frame(frame, DEPLOYED_COLUMNS, as_json)


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

    with open_warehouse() as warehouse:
        frame = models.rollback(
            warehouse,
            symbols=symbols,
            timeframes=timeframes,
            to=to,
            reason=reason,
            effective_at=effective_at,
        )
    print_frame(frame, DEPLOYED_COLUMNS, as_json)


@models.command("verify", epilog="Example: swiftbolt models verify --all")
@chosen_series_options
@json_option
def models_verify(
    symbols: tuple[str, ...] | None,
    timeframes: tuple[str, ...] | None,
    as_json: bool,
) -> None:
    """Check every artifact's checksum; exit 1 and list what is wrong."""
    from python_ml.registry import inspection as models

    with open_warehouse() as warehouse:
        frame = models.verify_versions(
            warehouse, symbols=symbols, timeframes=timeframes
        )
    # A pooled member stands below every version that refers to it.
    files = frame.drop_duplicates(["artifact_path", "state"])
    wrong = files[files["state"].isin(["damaged", "foreign"])]
    if as_json:
        print_frame(frame, {}, as_json)
    else:
        for row in wrong.to_dict("records"):
            what = (
                "Damaged or missing"
                if row["state"] == "damaged"
                else f"Not that of version {row['version_id']} alone"
            )
            click.echo(f"{what}: {row['artifact_path']}")
        counts = files["state"].value_counts()
        click.echo(
            ", ".join(f"{count} {state}" for state, count in counts.items())
            + "."
        )
    sys.exit(1 if len(wrong) else 0)


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

    with open_warehouse() as warehouse:
        pruning = models.prune(
            warehouse,
            keep=keep,
            symbols=symbols,
            timeframes=timeframes,
            is_dry_run=not is_sure,
        )
    frame = pruning.artifacts
    if as_json:
        print_frame(frame, {}, as_json)
        return
    for name in frame["artifact_path"]:
        click.echo(name)
    done = "Removed" if pruning.is_done else "Would remove (--yes does)"
    click.echo(
        f"{done}: {len(frame)} artifacts, {frame['megabytes'].sum():.1f} MB."
    )
