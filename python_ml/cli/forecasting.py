"""Commands that issue forecasts and see how they do."""

import datetime
import json

import click

from python_ml.cli.options import json_option, series_options
from python_ml.cli.warehouse import open_warehouse


@click.command(
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
    is in ml.forecasts already stays as it is. Every series that should have
    been forecast and was not is listed with the reason and the day from which
    it can be again.
    """
    from python_ml.console.json_text import to_json
    from python_ml.console.text_tables import to_records
    from python_ml.forecasting import issue
    from python_ml.forecasting.latest import forecast_table, latest_forecasts
    from python_ml.monitoring.health import read_health

    with open_warehouse(role="trainer") as warehouse:
        summary = issue.forecast(
            warehouse,
            symbols=symbols,
            timeframes=timeframes,
            replay_from=replay_from.date() if replay_from else None,
        )
        latest = latest_forecasts(
            warehouse, symbols=symbols, timeframes=timeframes
        )
        health = read_health(warehouse, symbols=symbols, timeframes=timeframes)
    if as_json:
        result = summary.to_dict() | {
            "latest_forecasts": to_records(latest),
            "health": health.to_dict(),
        }
        click.echo(to_json(result))
    else:
        parts = [summary.to_text(), forecast_table(latest), health.to_text()]
        click.echo("\n\n".join(parts))


@click.command("check-drift", epilog="Example: swiftbolt check-drift --json")
@json_option
def check_drift(as_json: bool) -> None:
    """Settle forecasts, print how each series is doing, ask for trainings.

    Drift is a result, not a failure: whatever the status, the exit status is
    0. Evidence of drift (monitoring.drift_evidence), and age, file requests in
    ml.retrain_requests, which `swiftbolt train --requested` serves. Every check
    is kept in ml.drift_checks.
    """
    from python_ml.console.text_tables import to_records
    from python_ml.monitoring import drift

    with open_warehouse() as warehouse:
        status = drift.check_drift(warehouse)
    click.echo(
        json.dumps(to_records(status)) if as_json else drift.drift_table(status)
    )
