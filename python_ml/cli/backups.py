"""Commands that keep everything as one, and put it back."""

from pathlib import Path

import click

from python_ml.cli.options import json_option
from python_ml.cli.output import print_summary
from python_ml.cli.warehouse import open_warehouse
from python_ml.settings import load_settings

folder_argument = click.argument(
    "path", metavar="FOLDER", type=click.Path(path_type=Path)
)


@click.command("backup", epilog="Example: swiftbolt backup /backups/2026-01-31")
@folder_argument
@json_option
def backup(path: Path, as_json: bool) -> None:
    """Write database and artifacts to a new FOLDER, as one.

    Everything but training and pruning may go on meanwhile. Each file has its
    checksum in the manifest, and what has the name FOLDER is whole.
    """
    from python_ml.operations.backup import backup as write_backup

    with open_warehouse() as warehouse:
        summary = write_backup(warehouse, path)
    print_summary(summary, as_json)


@click.command(
    "restore", epilog="Example: swiftbolt restore /backups/2026-01-31"
)
@folder_argument
@json_option
def restore(path: Path, as_json: bool) -> None:
    """Put a backup from FOLDER into an empty warehouse.

    That is another SWIFTBOLT_HOME, or an empty database of a server of your
    own. A backup of older code is migrated; one of newer code is refused.
    """
    from python_ml.operations.backup import restore as put_back

    summary = put_back(load_settings(), path)
    print_summary(summary, as_json)
