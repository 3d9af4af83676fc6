"""Check that incremental builds end where full ones do.

    .venv/bin/python scripts/check_incremental.py [--sequences 50] [--seed 0]

Plays random sequences of changes to a small market on all timeframes: bars
appended in the middle of a session, late, restated or before ones that are
older, late splits and dividends, new series; with builds between them, of
which some are left out and some break off halfway. After each, `bars`,
`feature_rows` and `labels` must equal those of `--full-refresh` bit for bit.

Prints a line for each sequence and, where one differs, table, columns and keys.
The sequence of a seed is always the same. The embedded server's home is thrown
away.
"""

import argparse
import sys
import time

from benchmarking import go_when_told, throwaway_settings

from python_ml.exceptions import SwiftBoltError
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.connection import open_warehouse

# The tests play some of the same sequences.
sys.path.insert(0, str(PROJECT_ROOT))
from tests.changing_market import Sequences


def main() -> int:
    """Parse, play, print."""
    go_when_told()
    arguments = parse_arguments()
    started = time.monotonic()
    n_equal = 0
    try:
        with throwaway_settings() as settings:
            sequences = Sequences(open_warehouse(settings))
            for number in range(arguments.sequences):
                outcome = sequences.play(
                    arguments.seed + number, n_changes=arguments.changes
                )
                n_equal += not outcome.differences
                print(outcome.to_text(), flush=True)
    except SwiftBoltError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    minutes = (time.monotonic() - started) / 60
    print(
        f"{n_equal} of {arguments.sequences} sequences of {arguments.changes} "
        f"changes end as a full build does ({minutes:.1f} minutes)."
    )
    print(f"RESULT incremental_sequences_equal {n_equal}")
    return 0 if n_equal == arguments.sequences else 1


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Check that incremental builds end where full ones do.",
        epilog="Example: scripts/check_incremental.py --sequences 1 --seed 7",
    )
    parser.add_argument(
        "--sequences", type=int, default=50, metavar="N", help="how many"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the first"
    )
    parser.add_argument(
        "--changes",
        type=int,
        default=4,
        metavar="N",
        help="changes in each (default 4)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
