"""Check that a training killed at any moment is finished by the next one.

    .venv/bin/python scripts/check_interrupted_training.py [--kills 20]

Builds the sample, then, as of one month after the other, starts `swiftbolt
train --all --jobs 2`, kills it (SIGKILL) at a random moment and starts it
again. Afterwards every series must have been trained and deployed once and
every pooled member fitted once, and the folder must hold the artifacts on
record and nothing else.

Prints a line for each kill. The embedded server's home is thrown away.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from datetime import date

from benchmarking import go_when_told, throwaway_settings

from python_ml.ingestion.load import ingest
from python_ml.ingestion.readers.sample import SampleSource
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse, open_warehouse
from python_ml.warehouse.dbt import run_dbt

# The youngest series has weekly bars enough by then.
FIRST_YEAR = 2011
N_SERIES, N_HORIZONS, N_POOLED = 8, 24, 12


def main() -> int:
    """Parse, kill, print."""
    go_when_told()
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    n_whole = 0
    with throwaway_settings() as settings, open_warehouse(settings) as made:
        ingest(made, SampleSource())
        run_dbt(made, ["build", "--exclude-resource-type", "test", "unit_test"])
        started = time.monotonic()
        train(made, month(0)).wait()
        longest = time.monotonic() - started
        print(f"A training takes {longest:.1f} s.", flush=True)
        for number in range(1, arguments.kills + 1):
            seconds = moments.uniform(0.1 * longest, longest)
            faults = kill_and_finish(made, month(number), seconds)
            n_whole += not faults
            print(
                f"{number}: killed after {seconds:.1f} s: "
                f"{', '.join(faults) or 'every series once, no orphan'}",
                flush=True,
            )
    print(f"RESULT trainings_finished_whole {n_whole}")
    return 0 if n_whole == arguments.kills else 1


def month(number: int) -> date:
    """As-of date of a training."""
    return date(FIRST_YEAR + number // 12, number % 12 + 1, 28)


def train(warehouse: Warehouse, as_of: date) -> "subprocess.Popen[bytes]":
    """Start the command."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "python_ml.cli", "train", "--all"),
            *("--jobs", "2", "--as-of", as_of.isoformat()),
            *("--promote", "always"),
        ],
        cwd=PROJECT_ROOT,
        env={**os.environ, "SWIFTBOLT_HOME": str(warehouse.settings.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill_and_finish(
    warehouse: Warehouse, as_of: date, seconds: float
) -> list[str]:
    """Kill a training, run it again and return what is wrong afterwards."""
    process = train(warehouse, as_of)
    time.sleep(seconds)
    process.kill()
    process.wait()
    # The server notices a moment later that the lock's holder is gone.
    for _ in range(20):
        if train(warehouse, as_of).wait() == 0:
            return find_faults(warehouse, as_of)
        time.sleep(0.5)
    return ["the second training failed"]


def find_faults(warehouse: Warehouse, as_of: date) -> list[str]:
    """What is not once, or not on record."""
    keys = {"as_of": as_of}
    of_day = "where cast(as_of at time zone 'utc' as date) = :as_of"
    counts = {
        "versions": (
            N_SERIES,
            f"select distinct symbol_id, timeframe from {{ml}}.ensembles "
            f"{of_day}",
            f"select 1 as n from {{ml}}.ensembles {of_day}",
        ),
        "runs": (
            N_HORIZONS,
            f"select distinct symbol_id, timeframe, horizon "
            f"from {{ml}}.training_runs {of_day} and status = 'succeeded'",
            f"select 1 as n from {{ml}}.training_runs {of_day}",
        ),
        "deployments": (
            N_HORIZONS,
            "select distinct symbol_id, timeframe, "
            "jsonb_array_elements_text(horizons) as horizon "
            "from {ml}.deployments "
            "where cast(effective_at at time zone 'utc' as date) = :as_of",
            "select jsonb_array_elements_text(horizons) as n "
            "from {ml}.deployments "
            "where cast(effective_at at time zone 'utc' as date) = :as_of",
        ),
        "pooled members": (
            N_POOLED,
            "select distinct member, timeframe, horizon "
            "from {ml}.pooled_members inner join {ml}.training_cuts "
            f"using (cut_id, timeframe) {of_day}",
            "select 1 as n from {ml}.pooled_members "
            f"inner join {{ml}}.training_cuts using (cut_id) {of_day}",
        ),
    }
    faults = []
    for name, (expected, different, all_rows) in counts.items():
        found = [
            len(read_frame(warehouse, query, keys))
            for query in (different, all_rows)
        ]
        if found != [expected, expected]:
            faults.append(
                f"{found[1]} {name} of {found[0]} kinds instead of {expected}"
            )
    on_record = set(
        read_frame(
            warehouse,
            "select artifact_path from {ml}.ensembles "
            "union all select artifact_path from {ml}.pooled_members",
        )["artifact_path"]
    )
    home = warehouse.settings.home
    on_disk = {
        str(path.relative_to(home))
        for path in warehouse.settings.artifacts_dir.iterdir()
    }
    if orphans := on_disk - on_record:
        faults.append(f"{len(orphans)} orphans ({min(orphans)})")
    if lost := on_record - on_disk:
        faults.append(f"{len(lost)} artifacts lost ({min(lost)})")
    return faults


if __name__ == "__main__":
    sys.exit(main())
