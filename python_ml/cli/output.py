"""What commands print, for people or as JSON."""

import datetime
import json
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    import pandas as pd


class Summary(Protocol):
    """What a job did."""

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""

    def to_text(self) -> str:
        """What a person wants to know."""


def print_summary(summary: Summary, as_json: bool) -> None:
    """Print what a job did."""
    click.echo(json.dumps(summary.to_dict()) if as_json else summary.to_text())


def print_done(text: str, as_json: bool, **result: Any) -> None:
    """Print what a command has done: a sentence, or its parts by name.

    Paths and times become text.
    """
    click.echo(json.dumps(result, default=_as_text) if as_json else text)


def _as_text(value: object) -> str:
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value)


def print_frame(
    frame: "pd.DataFrame", columns: dict[str, str], as_json: bool
) -> None:
    """Print every row: for people `columns` with their headings, else all."""
    from python_ml.console.json_text import to_json
    from python_ml.console.text_tables import to_records, to_text

    if as_json:
        click.echo(to_json(to_records(frame)))
        return
    click.echo(to_text(frame, columns=columns, at_most=len(frame)))
