"""Options that several commands share."""

import contextlib
import datetime
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

F = TypeVar("F", bound=Callable[..., Any])


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
            callback=split_list,
            help=f"Separated by commas, for example {example}; default all.",
        )(command)
    return command


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


def split_list(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """Names between commas; None when the option is not given."""
    if value is None:
        return None
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not names:
        raise click.BadParameter("names nothing.", context, parameter)
    return names


def split_map(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> dict[str, str]:
    """Names and values between commas, `a=b,c=d`; empty if not given."""
    pairs = [pair.partition("=") for pair in (value or "").split(",") if pair]
    names = [name.strip() for name, _, _ in pairs]
    for name, _, text in pairs:
        if not name.strip() or not text.strip():
            raise click.BadParameter(
                f"{value!r} is no list such as ts=Date,open=Open.",
                context,
                parameter,
            )
    if len(set(names)) < len(names):
        raise click.BadParameter("names a field twice.", context, parameter)
    return {name.strip(): text.strip() for name, _, text in pairs}


def parse_as_of(
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
