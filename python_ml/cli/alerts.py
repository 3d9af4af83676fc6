"""Commands on alerts."""

import datetime
import getpass
import re
import sys

import click

from python_ml.cli.options import json_option
from python_ml.cli.output import print_done, print_frame, print_summary
from python_ml.cli.warehouse import open_warehouse

LIST_COLUMNS = {
    "alert_id": "alert",
    "severity": "severity",
    "state": "state",
    "kind": "kind",
    "subject": "about",
    "first_seen_at": "since (UTC)",
    "message": "message",
}
MESSAGE_COLUMNS = {
    "created_at": "told (UTC)",
    "channel": "channel",
    "status": "delivery",
    "n_attempts": "attempts",
    "last_reason": "last failure",
    "title": "message",
}
UNITS = {"h": "hours", "d": "days", "w": "weeks"}

by_option = click.option(
    "--by",
    metavar="NAME",
    help="Who answers; default the user of this process.",
)


def _to_time(
    context: click.Context, parameter: click.Parameter, value: str
) -> datetime.datetime:
    """`3d`, or a date or time in UTC, as a time to come."""
    now = datetime.datetime.now(datetime.UTC)
    try:
        if span := re.fullmatch(r"(\d{1,4})([hdw])", value):
            time = now + datetime.timedelta(**{UNITS[span[2]]: int(span[1])})
        else:
            time = datetime.datetime.fromisoformat(value)
            time = time.replace(tzinfo=time.tzinfo or datetime.UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is no span like 12h, 3d or 2w and no time like "
            "2026-01-31.",
            context,
            parameter,
        ) from None
    if time <= now:
        raise click.BadParameter(f"{value} is past.", context, parameter)
    return time


@click.group()
def alerts() -> None:
    """See what is wrong, answer it, and be told."""


@alerts.command("list", epilog="Example: swiftbolt alerts list --all")
@click.option("--all", "is_all", is_flag=True, help="Resolved ones, too.")
@json_option
def alerts_list(is_all: bool, as_json: bool) -> None:
    """List alerts that are not resolved, the gravest first."""
    from python_ml.monitoring.alerts.answers import list_alerts

    with open_warehouse() as warehouse:
        frame = list_alerts(warehouse, is_all=is_all)
    if frame.empty and not as_json:
        click.echo("No alert is open.")
        return
    print_frame(frame, LIST_COLUMNS, as_json)


@alerts.command("show", epilog="Example: swiftbolt alerts show 12")
@click.argument("alert_id", metavar="ALERT", type=int)
@json_option
def alerts_show(alert_id: int, as_json: bool) -> None:
    """Show one alert, what to do, and who was told of it when."""
    from python_ml.console.json_text import to_json
    from python_ml.console.text_tables import to_records, to_text
    from python_ml.monitoring.alerts.answers import read_alert, read_messages

    with open_warehouse() as warehouse:
        alert = read_alert(warehouse, alert_id)
        messages = read_messages(warehouse, alert_id)
    if as_json:
        click.echo(to_json(alert | {"messages": to_records(messages)}))
        return
    for name, value in alert.items():
        if value is not None:
            text = (
                f"{value:%Y-%m-%d %H:%M} UTC"
                if isinstance(value, datetime.datetime)
                else value
            )
            click.echo(f"{name}: {text}")
    click.echo()
    click.echo(
        "Nobody was told."
        if messages.empty
        else to_text(messages, columns=MESSAGE_COLUMNS)
    )


@alerts.command("check", epilog="Example: swiftbolt alerts check --json")
@json_option
def alerts_check(as_json: bool) -> None:
    """Look for alerts now, and tell what is new, still open or over.

    Every job of a schedule does so at its end. One message for all, to every
    channel of SWIFTBOLT_ALERT_URLS and SLACK_WEBHOOK_URL; one that is down is
    tried again by later checks.
    """
    from python_ml.monitoring.alerts.check import check_alerts

    with open_warehouse() as warehouse:
        summary = check_alerts(warehouse)
    print_summary(summary, as_json)


@alerts.command("test", epilog="Example: swiftbolt alerts test")
@json_option
def alerts_test(as_json: bool) -> None:
    """Send a test message to every channel; exit 1 if one does not take it."""
    from python_ml.monitoring.alerts.check import send_test

    with open_warehouse() as warehouse:
        summary = send_test(warehouse)
    print_summary(summary, as_json)
    sys.exit(1 if summary.delivery.failures or summary.problems else 0)


@alerts.command(
    "ack", epilog="Example: swiftbolt alerts ack 12 --note 'vendor is down'"
)
@click.argument(
    "alert_ids", metavar="ALERT...", nargs=-1, required=True, type=int
)
@click.option("--note", help="For the record.")
@by_option
@json_option
def alerts_ack(
    alert_ids: tuple[int, ...],
    note: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Say that you have alerts in hand; you are told when they are over."""
    from python_ml.monitoring.alerts.answers import acknowledge

    with open_warehouse() as warehouse:
        acknowledge(warehouse, alert_ids, by=by or getpass.getuser(), note=note)
    print_done(
        f"Acknowledged: {_numbers(alert_ids)}",
        as_json,
        state="acknowledged",
        alerts=alert_ids,
    )


@alerts.command(
    "silence", epilog="Example: swiftbolt alerts silence 12 --until 3d"
)
@click.argument(
    "alert_ids", metavar="ALERT...", nargs=-1, required=True, type=int
)
@click.option(
    "--until",
    required=True,
    callback=_to_time,
    metavar="TIME",
    help="12h, 3d, 2w, or a date or time (UTC).",
)
@click.option("--note", help="For the record.")
@by_option
@json_option
def alerts_silence(
    alert_ids: tuple[int, ...],
    until: datetime.datetime,
    note: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Hear nothing of alerts until a time; what is open then is told again."""
    from python_ml.monitoring.alerts.answers import silence

    with open_warehouse() as warehouse:
        silence(
            warehouse,
            alert_ids,
            until=until,
            by=by or getpass.getuser(),
            note=note,
        )
    print_done(
        f"Silenced until {until:%Y-%m-%d %H:%M} UTC: {_numbers(alert_ids)}",
        as_json,
        state="silenced",
        alerts=alert_ids,
        until=until,
    )


@alerts.command(
    "resolve",
    epilog="Example: swiftbolt alerts resolve 12 --reason 'known holiday'",
)
@click.argument(
    "alert_ids", metavar="ALERT...", nargs=-1, required=True, type=int
)
@click.option("--reason", required=True, help="For the record.")
@by_option
@json_option
def alerts_resolve(
    alert_ids: tuple[int, ...], reason: str, by: str | None, as_json: bool
) -> None:
    """Close alerts by hand; checks close by themselves what is over.

    One comes back with another cause, such as the next failed run of a job,
    or once it was gone and is seen again.
    """
    from python_ml.monitoring.alerts.answers import resolve

    with open_warehouse() as warehouse:
        resolve(warehouse, alert_ids, by=by or getpass.getuser(), note=reason)
    print_done(
        f"Resolved: {_numbers(alert_ids)}",
        as_json,
        state="resolved",
        alerts=alert_ids,
    )


def _numbers(alert_ids: tuple[int, ...]) -> str:
    return ", ".join(map(str, alert_ids))
