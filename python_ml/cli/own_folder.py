"""Commands of the first hour: a folder of one's own, completion, docs."""

import shlex
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from python_ml.cli.options import json_option
from python_ml.cli.output import print_done
from python_ml.cli.warehouse import open_warehouse

SHELLS = ("bash", "zsh", "fish")
SETTINGS_FILE = """\
# Read this before commands: . {folder}/swiftbolt.env
# Everything that is kept: the server's data, trained ensembles, pages, logs.
export SWIFTBOLT_HOME={home}
# A PostgreSQL of your own in place of the one that comes along:
# export SWIFTBOLT_TARGET=postgres
# export PGHOST=... PGPORT=5432 PGUSER=... PGPASSWORD=... PGDATABASE=...
# Put before every schema name on a server shared with others:
# export SWIFTBOLT_SCHEMA_PREFIX=team_
# What readers of `swiftbolt dashboard` have to know:
# export SWIFTBOLT_WEB_TOKEN=
"""
DAILY_FILE = """\
#!/bin/sh
# The day's work: load what lies in bars/, run, write the report.
set -eu
. {folder}/swiftbolt.env
{swiftbolt} ingest bars {bars}
{swiftbolt} run
{swiftbolt} report --output {report}
"""
SCHEDULE_FILE = """\
# Add these lines with: crontab -e
# Daily after the last bars have come, in the machine's own time:
30 23 * * 1-5  {daily}
# Each does nothing when it is not due:
0 3 * * *  . {folder}/swiftbolt.env && {scripts}/weekly_weights
0 4 * * *  . {folder}/swiftbolt.env && {scripts}/monthly_retrain
30 * * * *  . {folder}/swiftbolt.env && {scripts}/emergency_retrain
"""
README_FILE = """\
Bars go into bars/, in any vendor's layout. Then:

    . {folder}/swiftbolt.env
    {swiftbolt} ingest bars {bars} --dry-run
    {daily}
    {swiftbolt} dashboard --open

`daily` loads, forecasts and writes report.html; `schedule.crontab` runs it
by itself. Settings that SQL and Python share (timeframes, horizons,
thresholds) are the seeds in {seeds}; change one, then:

    {swiftbolt} build --full-refresh
"""


@click.command("init", epilog="Example: swiftbolt init ~/forecasts")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@json_option
def init(folder: Path, as_json: bool) -> None:
    """Make a folder of your own: settings, bars, a daily script, a schedule.

    What is there already stays as it is.
    """
    import os
    import sys

    from python_ml.settings import PROJECT_ROOT, load_settings

    folder = folder.expanduser().absolute()
    bars = folder / "bars"
    bars.mkdir(parents=True, exist_ok=True)
    settings = load_settings()
    # Postgres does not run as root, and its user has to reach the folder.
    home = settings.home if os.geteuid() == 0 else folder / "home"
    names = {
        name: shlex.quote(str(value))
        for name, value in {
            "folder": folder,
            "home": home,
            "bars": bars,
            "report": folder / "report.html",
            "daily": folder / "daily",
            "scripts": PROJECT_ROOT / "scripts",
            "swiftbolt": Path(sys.prefix) / "bin" / "swiftbolt",
            "seeds": settings.dbt_project_dir / "seeds",
        }.items()
    }
    files: dict[Path, str] = {}
    for name, text, mode in (
        ("swiftbolt.env", SETTINGS_FILE, 0o600),
        ("daily", DAILY_FILE, 0o755),
        ("schedule.crontab", SCHEDULE_FILE, 0o644),
        ("README.txt", README_FILE, 0o644),
    ):
        path = folder / name
        if path.exists():
            files[path] = "is there, stays"
            continue
        path.touch(mode=mode)
        path.write_text(text.format(**names))
        files[path] = "made"
    print_done(
        "\n".join(
            [
                *(f"{path}: {became}" for path, became in files.items()),
                f"Put bars into {bars}, then run: {names['daily']}",
            ]
        ),
        as_json,
        folder=folder,
        home=home,
        bars=bars,
        made=[path for path, became in files.items() if became == "made"],
        stayed=[path for path, became in files.items() if became != "made"],
    )


@click.command("completion", epilog="Example: swiftbolt completion bash")
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
@click.pass_context
def completion(context: click.Context, shell: str, as_json: bool) -> None:
    """Print the lines that complete commands and options in a shell.

    For bash put this into ~/.bashrc: eval "$(swiftbolt completion bash)". For
    zsh the same with zsh; for fish: swiftbolt completion fish | source
    """
    found = get_completion_class(shell)
    assert found is not None
    root = context.find_root().command
    script = found(root, {}, "swiftbolt", "_SWIFTBOLT_COMPLETE").source()
    print_done(script, as_json, shell=shell, script=script)


@click.command("docs", epilog="Example: swiftbolt docs --open")
@click.option("--open", "is_opened", is_flag=True, help="Open them.")
@json_option
def docs(is_opened: bool, as_json: bool) -> None:
    """Write dbt's documentation of every table and column to one file.

    With the lineage down to trainings, forecasts, pages and the report.
    """
    from python_ml.operations.documentation import write_documentation

    with open_warehouse() as warehouse:
        path = write_documentation(warehouse)
    print_done(str(path), as_json, path=path)
    if is_opened:
        click.launch(str(path))
