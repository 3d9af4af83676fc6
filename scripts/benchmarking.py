"""What the benchmarks share: bars, a throw-away warehouse, a table of figures.

Each measures on two cores, in a warehouse of its own that goes again however
it ends, and prints a table and a line `RESULT name value` for each figure.
"""

import argparse
import contextlib
import csv
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import psutil
import sqlalchemy as sa

from python_ml.exceptions import BuildError, IngestionError
from python_ml.settings import PROJECT_ROOT, Settings
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import dbt_environment
from python_ml.warehouse.embedded import EmbeddedServer
from python_ml.warehouse.jobs import code_version

N_CORES = 2
DATA_VARIABLE = "SWIFTBOLT_BENCH_DATA"
DEFAULT_DATA = PROJECT_ROOT.parent / "shared" / "data"
DEFAULT_FILE = "daily_sp500_2010_2021.parquet"
MEMORY_SAMPLE_SECONDS = 0.02


@dataclass
class Figures:
    """What was measured: a row of the table for each name, a run each value."""

    runs: dict[str, list[float]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str = "s") -> None:
        """Add one run."""
        self.runs.setdefault(name, []).append(value)
        self.units[name] = unit

    def median(self, name: str) -> float:
        """Median of the runs so far."""
        return statistics.median(self.runs[name])

    def to_text(self) -> str:
        """Write the table: name, median, each run."""
        lines = [f"{'':<50} {'median':>9}  runs"]
        for name, values in self.runs.items():
            each = " ".join(f"{value:.2f}" for value in values)
            lines.append(
                f"{name + ', ' + self.units[name]:<50} "
                f"{self.median(name):>9.2f}  {each}"
            )
        return "\n".join([*lines, *self.notes])

    def report(self, results: Mapping[str, str] | None = None) -> None:
        """Print the table and a line `RESULT name value` for each figure.

        Parameters
        ----------
        results : mapping of str to str, optional
            Rows by the name of their figure; by default each row is one by its
            own name.
        """
        print(self.to_text())
        for name, row in (
            results or {name: name for name in self.runs}
        ).items():
            print(f"RESULT {name} {self.median(row):.4g}")


def keep_to_two_cores() -> None:
    """Have this process, polars and the server started from here use two.

    Polars counts the cores when it is imported, so this starts anew.
    """
    if os.environ.get("POLARS_MAX_THREADS") != str(N_CORES):
        os.environ["POLARS_MAX_THREADS"] = str(N_CORES)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:N_CORES])


def go_when_told() -> None:
    """Have a run that is ended by a signal take its server along."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def positive(text: str) -> int:
    """Read a number above 0 from the command line."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number


def find_files(
    paths: Sequence[Path], names: Sequence[str] = (DEFAULT_FILE,)
) -> list[Path]:
    """Files of bars to load, by default those of some names.

    Raises
    ------
    IngestionError
        If one is missing.
    """
    if not paths:
        folder = Path(os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)
        paths = [folder / name for name in names]
    for path in paths:
        if not path.is_file():
            raise IngestionError(
                f"There are no bars at {path}. Name a file, or the folder of "
                f"{' and '.join(names)} with: export {DATA_VARIABLE}=FOLDER"
            )
    return list(paths)


def record_look(
    path: Path, figures: Mapping[str, float], *, symbols: int | None, unit: str
) -> None:
    """Append a look beyond the cut to a log of looks.

    Parameters
    ----------
    path : Path
        Of the log; begun where there is none.
    figures : mapping of str to float
        What was seen.
    symbols : int or None
        How many of the symbols were used, None for all.
    unit : str
        Heading of the figures.
    """
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(["date", "commit", "symbols", "name", unit])
        for name, value in figures.items():
            writer.writerow(
                [
                    f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
                    code_version(),
                    symbols or "all",
                    name,
                    f"{value:.4f}",
                ]
            )


def read_bars(path: Path) -> pl.DataFrame:
    """Read one file of bars."""
    columns = ["symbol", "timeframe", "ts", "open", "high", "low", "close"]
    try:
        return pl.read_parquet(path, columns=[*columns, "volume"]).with_columns(
            pl.col("symbol", "timeframe").cast(pl.String)
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise IngestionError(
            f"{path} is no file of bars: {error}. See: {sys.argv[0]} --help"
        ) from error


def every_other_symbol(bars: pl.DataFrame) -> pl.DataFrame:
    """Keep half of the symbols."""
    symbols = bars["symbol"].unique().sort().gather_every(2)
    return bars.filter(pl.col("symbol").is_in(symbols.implode()))


def load(
    warehouse: Warehouse, bars: pl.DataFrame, *, may_reject: Sequence[str] = ()
) -> float:
    """Load bars by `swiftbolt ingest bars`; the memory it took, in MB.

    A bar that is rejected for a reason that `may_reject` does not name stops
    the benchmark.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.parquet"
        bars.write_parquet(path)
        peak, output = run_python(
            warehouse,
            ["-m", "python_ml.cli", "ingest", "bars", str(path), "--json"],
        )
    rejected = json.loads(output)["rejected"]
    if rejected:
        say(f"rejected: {rejected}")
    if set(rejected) - set(may_reject):
        raise IngestionError(
            f"Of {len(bars)} bars, some were rejected: {rejected}."
        )
    return peak


@contextlib.contextmanager
def throwaway_settings() -> Iterator[Settings]:
    """Settings of a home that is removed with its server at the end."""
    root = Path(tempfile.mkdtemp(prefix="swiftbolt-benchmark-"))
    # Root's server runs as another user, who must be able to enter.
    root.chmod(0o755)
    settings = Settings(PROJECT_ROOT, root / "home", "embedded")
    try:
        yield settings
    finally:
        EmbeddedServer(settings).stop()
        shutil.rmtree(root, ignore_errors=True)


def count_rows(
    warehouse: Warehouse, name: str, schema: str = "{features}"
) -> int:
    """Count the rows of a table."""
    with warehouse.begin() as connection:
        return int(
            connection.scalar(
                sa.text(warehouse.sql(f"select count(*) from {schema}.{name}"))
            )
            or 0
        )


def settle(warehouse: Warehouse, schema: str) -> None:
    """Vacuum, so that the server does not do so while something is timed."""
    name = warehouse.settings.schema(schema)
    with autocommit(warehouse) as connection:
        tables = connection.scalars(
            sa.text(
                "select format('%I.%I', schemaname, tablename) "
                "from pg_tables where schemaname = :name"
            ),
            {"name": name},
        ).all()
        for table in tables:
            connection.execute(sa.text(f"vacuum (analyze) {table}"))


def checkpoint(warehouse: Warehouse) -> None:
    """Write out what earlier steps left, before the next is timed."""
    with autocommit(warehouse) as connection:
        connection.execute(sa.text("checkpoint"))


@contextlib.contextmanager
def autocommit(warehouse: Warehouse) -> Iterator[sa.Connection]:
    """Open a connection for commands that refuse a transaction."""
    with warehouse.engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


def environment_of(warehouse: Warehouse) -> dict[str, str]:
    """Environment of a process that works on a warehouse and on no other."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "SWIFTBOLT_", "DBT_"))
    }
    return own | dbt_environment(warehouse.settings, warehouse.parameters)


def run_python(
    warehouse: Warehouse,
    command: Sequence[str],
    *,
    may_fail: bool = False,
    variables: Mapping[str, str] | None = None,
    sample_seconds: float = MEMORY_SAMPLE_SECONDS,
) -> tuple[float, str]:
    """Run Python on a warehouse and watch its memory.

    The kernel's own figure for a child would count what its parent held when
    it was started.

    Parameters
    ----------
    warehouse : Warehouse
        Its environment is the process's.
    command : sequence of str
        Arguments of Python.
    may_fail : bool, default=False
        Whether it may end with an error.
    variables : mapping of str to str, optional
        Further variables of its environment.
    sample_seconds : float, optional
        Between two looks at its memory, which cost some processor time.

    Returns
    -------
    peak : float
        Most resident memory of it and its own children, MB.
    output : str
        What it printed.

    Raises
    ------
    BuildError
        If it ends with an error and may not.
    """
    environment = environment_of(warehouse) | dict(variables or {})
    peak = 0
    with (
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as log,
    ):
        process = subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            cwd=PROJECT_ROOT,
            stdout=output,
            stderr=log,
        )
        try:
            watched = psutil.Process(process.pid)
            while process.poll() is None:
                peak = max(peak, resident_bytes(watched))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(sample_seconds)
        finally:
            process.kill()
        output.seek(0)
        log.seek(0)
        if process.returncode and not may_fail:
            lines = log.read().strip().splitlines()
            raise BuildError(
                f"A process of the benchmark ended with {process.returncode}: "
                f"{lines[-1] if lines else 'no message'}"
            )
        return peak / 1e6, output.read()


def resident_bytes(process: psutil.Process) -> int:
    """Memory of a process and those that it started; 0 when it is gone."""
    size = 0
    with contextlib.suppress(psutil.Error):
        for one in [process, *process.children(recursive=True)]:
            size += one.memory_info().rss
    return size


def server_seconds(settings: Settings) -> float:
    """Processor time of the server and its processes, ended ones too."""
    server = psutil.Process(EmbeddedServer(settings).status().pid)
    ended = server.cpu_times()
    seconds = ended.children_user + ended.children_system
    for process in [server, *server.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            seconds += sum(process.cpu_times()[:2])
    return float(seconds)


def say(text: str) -> None:
    """Tell who waits what goes on."""
    print(text, file=sys.stderr, flush=True)


def machine_load() -> str:
    """How many processes wanted a core, over the last 1, 5 and 15 minutes."""
    return " ".join(f"{load:.1f}" for load in os.getloadavg())
