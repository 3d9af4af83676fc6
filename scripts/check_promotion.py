"""How often promotion decides rightly, on simulated markets.

    .venv/bin/python scripts/check_promotion.py [--seeds 50] [--series 24]

Each seed is a market of many series in which turbulence can be seen coming.
Champions forecast it bar by bar; challengers are trained later: by the same
recipe, a better one, a worse one, and the same with its labels shuffled
within each fit block. Every one goes through the judgement of `swiftbolt
train`. Prints how often each was promoted, for horizons of 1, 5 and 20 bars.
"""

import argparse
import sys
import time

from python_ml.settings import PROJECT_ROOT

# The tests judge some of the same markets.
sys.path.insert(0, str(PROJECT_ROOT))
from tests.promotion_market import verdicts

HORIZONS = (1, 5, 20)
RIGHT = {"better": True, "same": True, "worse": False, "shuffled": False}


def main() -> int:
    """Parse, judge, print."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--series", type=int, default=24)
    arguments = parser.parse_args()
    started = time.monotonic()
    for horizon_bars in HORIZONS:
        found = [
            verdicts(
                arguments.first_seed + number,
                n_series=arguments.series,
                horizon_bars=horizon_bars,
            )
            for number in range(arguments.seeds)
        ]
        for name, is_right in RIGHT.items():
            share = sum(one[name].is_promoted for one in found) / len(found)
            done = "promoted" if is_right else "refused"
            percent = 100 * (share if is_right else 1 - share)
            print(f"RESULT {name}_{done}_percent_{horizon_bars} {percent:.0f}")
        blocks = {one["same"].n_blocks for one in found}
        print(
            f"{horizon_bars} bars ahead: {len(found)} markets of "
            f"{arguments.series} series, {min(blocks)} blocks, champion's "
            f"skill {_skill(found):+.1%}",
            flush=True,
        )
    print(f"RESULT seconds {time.monotonic() - started:.0f}")
    return 0


def _skill(found: list) -> float:  # type: ignore[type-arg]
    """Mean skill of the champions that see clearly."""
    return sum(
        1 - one["same"].champion_log_loss / one["same"].climatology_log_loss
        for one in found
    ) / len(found)


if __name__ == "__main__":
    sys.exit(main())
