"""Measure how long drift takes to be found, and how often it is found falsely.

    .venv/bin/python scripts/benchmark_drift.py

Simulates hits that come with 55%, for years; then with 45%. One hit a bar: m15
has 26 a session, h1 7, d1 1. Evidence is that of the test of hits, or of the
pooled one over 20 series, with the threshold that `monitoring.drift_evidence`
has (`TF` stands for m15, h1 and d1):

| figure | measures |
| --- | --- |
| `false_alarm_TF` | alarms a healthy series-year; the budget is 0.05 |
| `false_alarm_TF_se` | standard error of the simulation |
| `delay_sessions_TF` | mean sessions from the fall to the alarm |
| `delay_sessions_unsure_TF` | the same where the baseline is known to two \
points, so that 53% are expected |
| `false_alarm_pooled_TF`, `delay_sessions_pooled_TF` | of 20 series together |
| `false_alarm_correlated_TF`, `delay_sessions_correlated_TF` | of 20 that \
nearly do the same |
| `margin_false_years_TF` | share of healthy series-years in which the rule of \
margins (the last 60 more than 15 points below) says alert |
| `margin_false_days_TF`, `margin_delay_sessions_TF` | share of series-days, \
and sessions from the fall |
| `daily_check_seconds`, `daily_check_mb` | `swiftbolt check-drift` of one day \
of 2,000 series with two years of settled forecasts behind it; most memory |
| `daily_check_processor_seconds` | of the job and of the server, which does \
not hang on what else runs |
| `first_evidence_seconds` | all evidence of two years, made anew |
| `evidence_one_series_ms` | `monitoring.drift_evidence` of one series |
| `path_one_series_ms` | `monitoring.evidence_path` of one series |

Each figure is a line `RESULT name value`.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from benchmark_drift_check import measure_daily_check
from benchmarking import (
    Figures,
    go_when_told,
    keep_to_two_cores,
    machine_load,
    positive,
    say,
)
from drift_simulations import (
    BARS_PER_SESSION,
    CORRELATION,
    HEALTHY,
    SESSIONS_PER_YEAR,
    delays,
    false_alarms,
    independent,
    margin_rule,
    pooled,
)

from python_ml.exceptions import SwiftBoltError

UNSURE = HEALTHY - 0.02
SEED = 11


def main() -> int:
    """Parse, measure, print."""
    keep_to_two_cores()
    go_when_told()
    arguments = parse_arguments()
    figures = Figures()
    simulate(figures, arguments.years, arguments.timeframes.split(","))
    if arguments.series:
        try:
            measure_daily_check(figures, n_series=arguments.series)
        except SwiftBoltError as error:
            print(f"Error: {error}", file=sys.stderr)
            return 1
    figures.notes.append(f"load of the machine: {machine_load()}")
    figures.report()
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Measure how drift is found, and found falsely.",
        epilog="Example: scripts/benchmark_drift.py --years 500 --series 100",
    )
    parser.add_argument(
        "--years",
        type=positive,
        default=4000,
        metavar="N",
        help="series-years to simulate, by default 4000",
    )
    parser.add_argument(
        "--timeframes",
        default=",".join(BARS_PER_SESSION),
        metavar="TF,...",
        help="timeframes to simulate, by default m15,h1,d1",
    )
    parser.add_argument(
        "--series",
        type=int,
        default=2000,
        metavar="N",
        help="series of the daily check, by default 2000; 0 for none",
    )
    return parser.parse_args()


def simulate(
    figures: Figures, n_series_years: int, timeframes: Sequence[str]
) -> None:
    """False alarms and delays, by timeframe."""
    random = np.random.default_rng(SEED)
    n_years = 4
    n = max(n_series_years // n_years, 4)
    n_found = max(n_series_years // 8, 1)
    for timeframe in timeframes:
        per_session = BARS_PER_SESSION[timeframe]
        say(f"simulating {timeframe}")
        bars = per_session * SESSIONS_PER_YEAR
        kinds = {
            "": (independent(random, n), independent(random, n_found), False),
            "pooled_": (
                pooled(random, n // 4, 0.0),
                pooled(random, n_found, 0.0),
                True,
            ),
            "correlated_": (
                pooled(random, n // 4, CORRELATION),
                pooled(random, n_found, CORRELATION),
                True,
            ),
        }
        for kind, (healthy, drifting, is_pool) in kinds.items():
            alarms = false_alarms(
                healthy,
                n // 4 if is_pool else n,
                bars,
                n_years=n_years,
                is_pool=is_pool,
            )
            found = delays(drifting, n_found, bars, is_pool=is_pool)
            name = f"{kind}{timeframe}"
            figures.add(f"false_alarm_{name}", alarms.rate, "a year")
            figures.add(
                f"false_alarm_{name}_se", alarms.standard_error, "a year"
            )
            figures.add(
                f"delay_sessions_{name}", found.mean() / per_session, "sessions"
            )
        unsure = delays(
            independent(random, n_found),
            n_found,
            bars,
            is_pool=False,
            expected=UNSURE,
        )
        figures.add(
            f"delay_sessions_unsure_{timeframe}",
            unsure.mean() / per_session,
            "sessions",
        )
        days, years, found = margin_rule(
            independent(random, n_found), n_found, bars, per_session
        )
        figures.add(f"margin_false_days_{timeframe}", days, "share")
        figures.add(f"margin_false_years_{timeframe}", years, "share")
        figures.add(
            f"margin_delay_sessions_{timeframe}",
            found.mean() / per_session,
            "sessions",
        )


if __name__ == "__main__":
    sys.exit(main())
