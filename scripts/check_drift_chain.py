"""Watch a change of the market go all the way to a retraining, on real bars.

    .venv/bin/python scripts/check_drift_chain.py [--kill]

The bars are those of the sample, but the sessions of every week are dated anew
by the size of their moves: the largest is Monday's, the smallest Friday's. An
ensemble learns that and forecasts well. Then the market changes: from a day on
weeks begin with their smallest moves and end with their largest. The daily job
of the schedule loads the sessions, and its alerts go to a receiver of this
script: evidence grows, an alert opens, trainings are requested, the emergency
job serves them, promotion decides, and the next daily job finds the evidence
acted on and the alert over. All of it is printed. The month before the change
and its first sessions are replayed in one go; from then on the daily job runs
session by session.

With `--kill` the days from the alarm on are done once more from the same
warehouse. At each step the job is killed (SIGKILL) and the schedule starts it
again, until it gets by. What comes of it must be what came of the undisturbed
days, and no message may come twice.

The jobs are those of `swiftbolt jobs run`, by the market's clock
(`drift_chain_job.py`), started and killed by `drift_chain.py`.

Outcomes moved by half a year alone are found on daily bars after many months
(`benchmark_drift_real.py`), since there is little skill to lose. Who was sure
of the order of the week is found out within weeks, which is what can be done
day by day. The embedded server's home is thrown away.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from benchmarking import (
    go_when_told,
    positive,
    run_python,
    throwaway_settings,
)
from check_faults import execute, keep, restore
from drift_chain import TAKEN, Chain
from drift_chain_market import in_weeks, read_bars
from end_state import State, differences, end_state

from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.connection import open_warehouse

# The tests of alerts have the same receiver.
sys.path.insert(0, str(PROJECT_ROOT))
from tests.alert_receiver import running_receiver

FIRST_DAY = "2005-01-03"
TRAINED_AS_OF = "2012-01-31"
CHANGES_AT = "2012-03-01"
# Sessions after the change that are replayed with those before it.
N_REPLAYED = 29
MAX_DAYS = 14
SNAPSHOT = "before_the_alarm"
# A line of the log, and with it a step, at which a job is killed.
KILLS = {
    "alarm": (
        "event=job_started job=daily_run",
        "event=job_started job=ingest",
        "event=job_started job=build",
        "event=validated",
        "event=job_started job=forecast",
        "event=job_started job=check-drift",
        "event=retrain_asked",
        "event=drift_checked",
        "event=job_started job=alerts",
        TAKEN,
    ),
    "training": (
        "event=job_started job=emergency_retrain",
        "event=job_started job=serve-requests",
        "event=job_started job=train",
        "event=pooled_member_fitted",
        "event=series_trained",
        "event=promotion_decided",
        "event=job_succeeded job=train",
        "event=job_succeeded job=serve-requests",
        "event=job_started job=alerts",
    ),
    "recovery": (
        "event=job_started job=daily_run",
        "event=evidence_restarted",
        "event=retrain_asked",
        "event=job_started job=alerts",
        TAKEN,
    ),
}
# Attempts and checks are more where a job was begun again; what they come to is
# compared by queries of its own.
OF_ITS_OWN = (
    "ml.alerts",
    "ml.alert_messages",
    "ml.alert_deliveries",
    "ml.alert_attempts",
    "ml.drift_checks",
)

STRONGEST = """
    select distinct on (symbol_id is null)
        coalesce(ticker, 'all series') as about, test, horizon, evidence,
        threshold
    from {monitoring}.drift_evidence
    where timeframe = 'd1'
    order by symbol_id is null desc, evidence desc
"""
ALERTS = """
    select kind, subject, state, severity, message
    from {ml}.alerts order by kind, subject, message
"""
COUNTS = """
    select
        (select count(*) from {ml}.alerts where state = 'open') as n_alerts,
        (
            select count(*) from {ml}.retrain_requests where status = 'open'
        ) as n_requests
"""
SERVED = """
    select symbols.ticker, requests.kind, requests.status, requests.reason
    from {ml}.retrain_requests as requests
    inner join {raw}.symbols as symbols
        on requests.symbol_id = symbols.symbol_id
    order by symbols.ticker
"""
DECIDED = """
    select horizon, is_promoted, reason
    from {ml}.promotions
    where as_of = (select max(as_of) from {ml}.promotions)
    order by horizon
"""
# An ensemble that has expired asks for one as well.
ASKED_FOR_DRIFT = """
    select 1 from {ml}.retrain_requests where kind <> 'expired'
"""
ASKED = """
    select distinct symbol_id, timeframe, window_ends_at
    from {ml}.drift_checks
    where action = 'retrain_requested'
    order by symbol_id, timeframe, window_ends_at
"""


@dataclass(frozen=True)
class Outcome:
    """What the days from the alarm on came to.

    Parameters
    ----------
    tables : dict
        As `end_state` counts them.
    alerts, asked : DataFrame
        Alerts, and series whose training was asked for by which check.
    messages : list of str
        As they were received, without their numbers.
    """

    tables: State
    alerts: pd.DataFrame
    asked: pd.DataFrame
    messages: list[str]


def main() -> int:
    """Parse, watch, print."""
    go_when_told()
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument(
        "--kill", action="store_true", help="kill each step and do it again"
    )
    parser.add_argument(
        "--days", type=positive, default=MAX_DAYS, help="to wait for the alarm"
    )
    arguments = parser.parse_args()
    began = time.monotonic()
    with (
        throwaway_settings() as settings,
        running_receiver() as receiver,
        tempfile.TemporaryDirectory() as folder,
    ):
        chain = Chain(settings, receiver, Path(folder))
        days = prepare(chain)[: arguments.days]
        alarm, after = wait_for_alarm(chain, days)
        expected = finish(chain, alarm, after)
        faults: list[str] = []
        if arguments.kill:
            print("\nThe same from the day of the alarm on, with kills:")
            restore(settings, SNAPSHOT)
            receiver.reset()
            chain.n_read = 0
            found = finish(chain, alarm, after, is_killed=True)
            faults = find_differences(expected, found) + chain.missed
            print("\n".join(faults) or "The same end state, no message twice.")
            print(f"RESULT chain_kills {chain.n_killed}")
    print(f"RESULT seconds {time.monotonic() - began:.0f}")
    return 1 if faults else 0


def prepare(chain: Chain) -> list[pd.Timestamp]:
    """Train, and replay to the first sessions of the change; those after."""
    bars = read_bars()
    bars = bars[bars["ts"] >= FIRST_DAY]
    bars = pd.concat(
        in_weeks(own, pd.Timestamp(CHANGES_AT))
        for _, own in bars.groupby("symbol")
    )
    changed = sorted(set(bars["ts"][bars["ts"] >= CHANGES_AT]))
    days = changed[N_REPLAYED:]
    path = chain.folder / "before.parquet"
    bars[bars["ts"] < days[0]].to_parquet(path)
    for day in days[:MAX_DAYS]:
        own = bars[bars["ts"] == day]
        own.to_parquet(chain.folder / f"{day:%Y-%m-%d}.parquet")
    with open_warehouse(chain.settings) as warehouse:
        for command in (
            ("ingest", "bars", str(path)),
            ("build",),
            ("train", "--all", "--timeframes", "d1", "--as-of", TRAINED_AS_OF),
            ("forecast", "--replay-from", TRAINED_AS_OF),
            ("check-drift",),
        ):
            began = time.monotonic()
            run_python(warehouse, ["-m", "python_ml.cli", *command])
            shown = " ".join(command).replace(str(path), "BARS")
            seconds = time.monotonic() - began
            print(f"swiftbolt {shown}: {seconds:.0f} s", flush=True)
    print(
        f"The market changed on {changed[0]:%Y-%m-%d}. At the close of "
        f"{changed[N_REPLAYED - 1]:%Y-%m-%d}:"
    )
    print_evidence(chain)
    return days[:MAX_DAYS]


def wait_for_alarm(
    chain: Chain, days: Sequence[pd.Timestamp]
) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Run the daily job day by day until drift has a training asked for.

    Returns
    -------
    alarm, after : Timestamp
        That day, and the next. The warehouse as it was before is kept.
    """
    for day, after in itertools.pairwise(days):
        chain.receiver.reset()
        chain.n_read = 0
        execute(
            chain.settings,
            "postgres",
            f"drop database if exists {SNAPSHOT}",
        )
        keep(chain.settings, SNAPSHOT)
        chain.work("daily_run", day)
        print_day(chain, day)
        if len(chain.ask(ASKED_FOR_DRIFT)):
            return day, after
    raise SystemExit(f"Drift had none asked for in {len(days)} sessions.")


def finish(
    chain: Chain,
    alarm: pd.Timestamp,
    after: pd.Timestamp,
    *,
    is_killed: bool = False,
) -> Outcome:
    """Serve the requests of the alarm, and run the next day's job."""
    if is_killed:
        chain.kills = list(KILLS["alarm"])
        chain.work("daily_run", alarm)
        print_day(chain, alarm)
        chain.kills = list(KILLS["training"])
    chain.work("emergency_retrain", alarm)
    print(f"  emergency_retrain of {alarm:%Y-%m-%d}:")
    for row in chain.ask(SERVED).to_dict("records"):
        print("    " + " ".join(f"{name}={row[name]}" for name in row))
    for row in chain.ask(DECIDED).to_dict("records"):
        print("    " + " ".join(f"{name}={row[name]}" for name in row))
    chain.print_messages()
    if is_killed:
        chain.kills = list(KILLS["recovery"])
    chain.work("daily_run", after)
    print_day(chain, after)
    with open_warehouse(chain.settings) as warehouse:
        tables = end_state(warehouse)
    for name in OF_ITS_OWN:
        tables.pop(name)
    return Outcome(
        tables,
        chain.ask(ALERTS),
        chain.ask(ASKED),
        [str(message["message"]) for message in chain.receiver.messages],
    )


def print_day(chain: Chain, day: pd.Timestamp) -> None:
    """Print what a daily job left: evidence, alerts, requests, messages."""
    counts = chain.ask(COUNTS).iloc[0]
    print(
        f"  daily_run of {day:%Y-%m-%d}: {counts['n_alerts']} alerts and "
        f"{counts['n_requests']} requests are open"
    )
    print_evidence(chain)
    chain.print_messages()


def print_evidence(chain: Chain) -> None:
    """Print the largest evidence of any series and of all together."""
    rows = chain.ask(STRONGEST).to_dict("records")
    print(
        "    evidence "
        + ", ".join(
            f"{row['evidence']:,.0f} ({row['test']} of {row['horizon']}, "
            f"{row['about']})"
            for row in rows
        )
        + f", alarm at {rows[0]['threshold']:,.0f}",
        flush=True,
    )


def find_differences(expected: Outcome, found: Outcome) -> list[str]:
    """What kills have changed, a line each."""
    faults = differences(expected.tables, found.tables)
    for name in ("alerts", "asked"):
        if not getattr(expected, name).equals(getattr(found, name)):
            faults.append(f"{name}: not those of the undisturbed days")
    if found.messages != expected.messages:
        faults.append(
            f"{len(found.messages)} messages were received, "
            f"{len(expected.messages)} on the undisturbed days"
        )
    return faults


if __name__ == "__main__":
    sys.exit(main())
