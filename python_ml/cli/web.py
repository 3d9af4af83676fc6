"""Commands for who looks at pages rather than at SQL."""

import ipaddress
import os
import socket
import sys
from pathlib import Path

import click

from python_ml.cli.options import json_option, split_list
from python_ml.cli.output import print_done, print_summary
from python_ml.cli.warehouse import open_warehouse

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765


def _need_extra() -> None:
    """Say what to install where the extra `web` is missing."""
    from importlib.util import find_spec

    from python_ml.exceptions import SettingsError

    missing = [
        name
        for name in ("jinja2", "plotly", "starlette", "uvicorn")
        if find_spec(name) is None
    ]
    if missing:
        raise SettingsError(
            f"Pages need {', '.join(missing)}, which are not installed. "
            "Install them with: scripts/setup (or python -m pip install "
            "'swiftbolt-ml[web]')"
        )


def _need_port(host: str, port: int) -> None:
    """Say which option to give where another program listens already."""
    from python_ml.exceptions import SettingsError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the server does: a port that was left just now is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"Nothing can be served at {host}, port {port}: "
                f"{error.strerror}. Take another one, such as --port "
                f"{port % 65535 + 1}, or end what listens there."
            ) from error


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@click.command(
    "dashboard",
    epilog="Example: swiftbolt dashboard --open",
)
@click.option(
    "--host",
    default=DEFAULT_HOST,
    show_default=True,
    help="Address to listen at; another than this machine's needs --token.",
)
@click.option("--port", default=DEFAULT_PORT, show_default=True, type=int)
@click.option(
    "--token",
    envvar="SWIFTBOLT_WEB_TOKEN",
    show_envvar=True,
    help="What readers have to know, at least 16 characters. Others on this "
    "machine see options, but not the variable.",
)
@click.option("--open", "is_opened", is_flag=True, help="Open the browser.")
@json_option
def dashboard(
    host: str, port: int, token: str | None, is_opened: bool, as_json: bool
) -> None:
    """Serve pages on the warehouse until Ctrl-C.

    Overview, forecasts, track record, drift, ensembles, data and SQL, read in
    transactions that cannot write. Nothing is loaded from elsewhere.
    """
    if not _is_local(host) and not token:
        raise click.UsageError(
            f"{host} can be reached from elsewhere. Give what readers have to "
            "know with --token or SWIFTBOLT_WEB_TOKEN."
        )
    if token is not None and len(token) < 16:
        raise click.UsageError(
            "The token has fewer than 16 characters. Make one: openssl rand "
            "-hex 16"
        )
    _need_extra()
    _need_port(host, port)
    import uvicorn

    from python_ml.web.server import LOCAL_HOSTS, make_app

    with open_warehouse(migrate=False) as warehouse:
        hosts = LOCAL_HOSTS if _is_local(host) else ("*",)
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{port}/"
        print_done(
            f"Pages at {address} (Ctrl-C ends them)",
            as_json,
            address=address,
            pid=os.getpid(),
        )
        if is_opened:
            click.launch(address)
        # No log of addresses: the first one may hold the token.
        uvicorn.run(
            make_app(warehouse, token=token, hosts=hosts, is_warmed=True),
            host=host,
            port=port,
            access_log=False,
            log_level="warning",
            server_header=False,
        )


@click.command("report", epilog="Example: swiftbolt report --symbols AAPL,IBM")
@click.option(
    "--symbols",
    metavar="LIST",
    callback=split_list,
    help="Separated by commas; default those whose forecasts say most.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Default: report.html in SWIFTBOLT_HOME.",
)
@click.option("--open", "is_opened", is_flag=True, help="Open it.")
@json_option
def report(
    symbols: tuple[str, ...] | None,
    output: Path | None,
    is_opened: bool,
    as_json: bool,
) -> None:
    """Write the pages to one file that needs no network.

    Under 6 MB, for mail or as the artifact of a workflow. A section that fails
    says so and does not lose the others; the exit status is then 1.
    """
    _need_extra()
    from python_ml.web.report import write_report

    with open_warehouse(migrate=False) as warehouse:
        path = output or warehouse.settings.home / "report.html"
        summary = write_report(warehouse, path, symbols=symbols)
    print_summary(summary, as_json)
    if is_opened:
        click.launch(str(summary.path))
    if summary.failed:
        sys.exit(1)
