"""A market as it becomes known: piece by piece, late, restated, in any order.

| symbol | loaded | rolled up |
| --- | --- | --- |
| QUARTERS | m15 | h1, h4, d1, w1 |
| HOURS | h1, d1 | h4, w1 |
| DAYS | d1, later also h1 | w1, then also h4 |
| MIXED | later: m15, d1 | h1, h4, w1 |
| NOVICE | later: d1 | w1 |

`Sequences` builds its start once, plays random changes on copies of it, with
builds between them that may be left out or break, and compares what they come
to with `--full-refresh`, bit for bit.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import psycopg2

from python_ml.ingestion.base import ADJUSTMENT_COLUMNS, BAR_COLUMNS, Load
from python_ml.ingestion.load import ingest
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse, connect
from python_ml.warehouse.dbt import DbtSummary, run_dbt
from tests.intraday_market import LENGTH, PRICES, grid, walk

# Short histories are to cross blocks, and profiles to forget, too.
VARS = {"block_bars": 64, "longest_profile_sessions": 24}
TABLES = {
    "bars": ["symbol_id", "timeframe", "bar_number"],
    "feature_rows": ["symbol_id", "timeframe", "bar_number"],
    "labels": ["symbol_id", "timeframe", "horizon", "bar_number"],
}
WHOLE = ["+feature_rows", "+labels"]
RUN = ["run", "--select", *WHOLE]
# The last that a build had made when it broke.
BREAKS = ("bars", "int_series_due", "feature_rows", "labels")

# Sessions and places in them count from 0, as in the intraday market.
FIRST_SESSIONS = {
    ("QUARTERS", "m15"): 312,
    ("HOURS", "h1"): 312,
    ("HOURS", "d1"): 40,
    ("DAYS", "d1"): 40,
    ("DAYS", "h1"): 345,
    ("MIXED", "m15"): 345,
    ("MIXED", "d1"): 270,
    ("NOVICE", "d1"): 310,
}
TO_COME = [
    [("DAYS", "h1")],
    [("MIXED", "m15"), ("MIXED", "d1")],
    [("NOVICE", "d1")],
]
PLACES_IN_BAR = {"m15": 1, "h1": 4, "d1": 26}
# The start is in the middle of a session.
START_SESSION, START_PLACE = 384, 9
# What it lacks: the beginning of a series, some days and a few bars.
NOT_YET = {
    ("QUARTERS", "m15"): range(312, 315),
    ("HOURS", "h1"): range(325, 328),
}
N_HOLES = 2

CHANGES = {
    "append": 0.3,
    "late": 0.2,
    "restatement": 0.2,
    "adjustment": 0.2,
    "new series": 0.1,
}


@dataclass(frozen=True)
class Delivery:
    """A load as a `BarSource`."""

    load: Load
    name: str = "changing"
    calendar: str = "XNYS"

    def read(self) -> Load:
        return self.load


def all_bars() -> pd.DataFrame:
    """Bars of all series, by time: also session, closed_at and state."""
    quarters = grid()
    tickers = {ticker for ticker, _ in FIRST_SESSIONS}
    walks = {
        ticker: walk(quarters, 20 + number)
        for number, ticker in enumerate(sorted(tickers))
    }
    series = []
    for (ticker, timeframe), first_session in FIRST_SESSIONS.items():
        parts = walks[ticker]
        parts = parts[parts["session"] >= first_session]
        place = parts["place"] // PLACES_IN_BAR[timeframe]
        bars = parts.groupby([parts["session"], place]).agg(
            opened_at=("opened_at", "first"),
            closed_at=("opened_at", "last"),
            open=("open", "first"),
            high=("high", "max"),
            low=("low", "min"),
            close=("close", "last"),
            volume=("volume", "sum"),
        )
        bars["closed_at"] += LENGTH
        bars = bars.reset_index("session")
        series.append(bars.assign(ticker=ticker, timeframe=timeframe))
    bars = pd.concat(series).sort_values("opened_at", kind="stable")
    return bars.reset_index(drop=True).assign(state="not listed")


class ChangingMarket:
    """What is known of a market by now, and what will be.

    Parameters
    ----------
    seed : int
        Decides on the changes; the start is always the same.

    Attributes
    ----------
    bars : DataFrame
        Bars of all series; `state` is "not listed", "ahead", "late" (withheld
        although later ones are known) or "known".
    """

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(0)
        self.bars = all_bars()
        self.to_come = list(TO_COME)
        self.factors: dict[tuple[str, str, str], float] = {}
        quarters = grid()
        self.days = quarters.groupby("session")["session_date"].first()
        self.closes = pd.DatetimeIndex(quarters["opened_at"] + LENGTH)
        is_start = (quarters["session"] == START_SESSION) & (
            quarters["place"] == START_PLACE
        )
        # By ticker, the last quarter hour that is known of it.
        start = int(quarters.index[is_start][0])
        self.ends = dict.fromkeys(self.bars["ticker"].unique(), start)
        later = {series for group in TO_COME for series in group}
        at_start = [one for one in FIRST_SESSIONS if one not in later]
        self._list(at_start)
        for one in at_start:
            rows = self._reached().intersection(self._rows("ahead", one))
            sessions = self.bars.loc[rows, "session"]
            held = rows[sessions.isin(NOT_YET.get(one, ()))]
            # Early, so that windows are whole again and rows usable.
            early = rows[2 : len(rows) // (20 if one[1] == "d1" else 3)]
            holes = self.random.choice(early, N_HOLES, replace=False)
            self.bars.loc[[*held, *holes], "state"] = "late"
        self._load(self._reached())
        self.random = np.random.default_rng(seed)

    def start(self) -> Load:
        """All that is known from the start, in one load."""
        return self._as_load(self.bars[self.bars["state"] == "known"])

    def next_bars(self) -> Load:
        """The next bar of every series."""
        is_ahead = self.bars["state"] == "ahead"
        ahead = self.bars[is_ahead].drop_duplicates(["ticker", "timeframe"])
        return self._load(ahead.index)

    def change(self) -> tuple[str, Load]:
        """Say what happens next, and what a source delivers of it."""
        kind = str(self.random.choice([*CHANGES], p=[*CHANGES.values()]))
        if kind == "new series" and not self.to_come:
            kind = "append"
        if kind == "late" and not len(self._rows("late")):
            kind = "append"
        n_late = len(self._rows("late"))
        load: Load = getattr(self, "_" + kind.replace(" ", "_"))()
        series = load.bars.groupby(["ticker", "timeframe"]).size()
        told = [f"{count} {' '.join(one)}" for one, count in series.items()]
        if kind == "adjustment":
            told = [" ".join(map(str, one)) for one in load.adjustments.values]
        n_held_back = len(self._rows("late")) - n_late
        if n_held_back > 0:
            told.append(f"{n_held_back} held back")
        return f"{kind} ({', '.join(told)})", load

    def late_bars(self, ticker: str, timeframe: str) -> Load:
        """All that has been held back of a series."""
        return self._load(self._rows("late", (ticker, timeframe)))

    def days_of(self, ticker: str, like: str) -> Load:
        """Days of a symbol, with the prices of another."""
        days = self.bars.loc[self._rows("known", (like, "d1"))]
        return self._as_load(days[-40:].assign(ticker=ticker))

    def _append(self) -> Load:
        for ticker in self.ends:
            n_quarters = self.random.choice(
                [
                    0,
                    self.random.integers(1, 12),
                    self.random.integers(13, 120),
                ],
                p=[0.2, 0.5, 0.3],
            )
            end = self.ends[ticker] + int(n_quarters)
            self.ends[ticker] = min(end, len(self.closes) - 1)
        rows = self._reached()
        if len(rows) > 4 and self.random.random() < 0.3:
            # These come after bars that are later than they. Often they are
            # the next ones, which only then turn out to be holes.
            first, end = np.sort(self.random.choice(len(rows) - 1, 2))
            if self.random.random() < 0.5:
                first = 0
            self.bars.loc[rows[first : end + 1], "state"] = "late"
            rows = rows.delete(slice(first, end + 1))
        return self._load(rows)

    def _late(self) -> Load:
        rows = self._rows("late")
        one = self.bars.loc[self.random.choice(rows)]
        rows = self._rows("late", (one["ticker"], one["timeframe"]))
        n_rows = self.random.choice([1, self.random.integers(len(rows)) + 1])
        first = self.random.integers(len(rows) - n_rows + 1)
        return self._load(rows[first : first + n_rows])

    def _restatement(self) -> Load:
        one = self._any_series()
        rows = self._rows("known", one)
        n_rows = int(self.random.integers(1, 4))
        if self.random.random() < 0.5:
            rows = rows[-40:]
        rows = pd.Index(np.sort(self.random.choice(rows, n_rows, False)))
        way = self.random.choice(["prices", "close", "volume", "none traded"])
        if way == "prices":
            factors = 1 + 0.05 * self.random.random(n_rows)
            for column in PRICES:
                self.bars.loc[rows, column] *= factors
        elif way == "close":
            self.bars.loc[rows, "close"] = self.bars.loc[rows, "high"]
        elif way == "volume":
            self.bars.loc[rows, "volume"] += 1000
        else:
            self.bars.loc[rows, "volume"] = 0
        return self._load(rows)

    def _adjustment(self) -> Load:
        ticker, timeframe = self._any_series()
        known = self.bars.loc[self._rows("known", (ticker, timeframe))]
        # Also on the day after the last bar, and on one that was adjusted.
        first, last = known["session"].iloc[[0, -1]]
        if self.random.random() < 0.5:
            first = max(first, last - 12)
        session = int(self.random.integers(first, last + 2))
        day = f"{self.days[min(session, self.days.index[-1])]:%Y-%m-%d}"
        kind = str(self.random.choice(["split", "dividend"]))
        own = [key for key in self.factors if key[0] == ticker]
        if own and self.random.random() < 0.3:
            _, day, kind = own[int(self.random.integers(len(own)))]
        factor = float(
            self.random.choice([0.25, 0.5, 3.0])
            if kind == "split"
            else 0.95 + 0.04 * self.random.random()
        )
        self.factors[ticker, day, kind] = factor
        # A load without bars is refused; this one is known.
        return dataclasses.replace(
            self._load(known.index[-1:]),
            adjustments=pd.DataFrame(
                [(ticker, day, kind, factor)], columns=ADJUSTMENT_COLUMNS
            ),
        )

    def _new_series(self) -> Load:
        number = int(self.random.integers(len(self.to_come)))
        self._list(self.to_come.pop(number))
        return self._load(self._reached())

    def _list(self, series: Sequence[tuple[str, str]]) -> None:
        for ticker, timeframe in series:
            is_own = (self.bars["ticker"] == ticker) & (
                self.bars["timeframe"] == timeframe
            )
            self.bars.loc[is_own, "state"] = "ahead"

    def _any_series(self) -> tuple[str, str]:
        known = self.bars[self.bars["state"] == "known"]
        series = known[["ticker", "timeframe"]].drop_duplicates()
        ticker, timeframe = series.iloc[self.random.integers(len(series))]
        return str(ticker), str(timeframe)

    def _rows(
        self, state: str, series: tuple[str, str] | None = None
    ) -> pd.Index:
        is_in = self.bars["state"] == state
        if series is not None:
            is_in &= self.bars["ticker"] == series[0]
            is_in &= self.bars["timeframe"] == series[1]
        return self.bars.index[is_in]

    def _reached(self) -> pd.Index:
        """Bars ahead that have closed by their ticker's end."""
        ends = self.bars["ticker"].map(
            {ticker: self.closes[end] for ticker, end in self.ends.items()}
        )
        is_reached = (self.bars["state"] == "ahead") & (
            self.bars["closed_at"] <= ends
        )
        return self.bars.index[is_reached]

    def _load(self, rows: pd.Index) -> Load:
        if rows.empty:
            rows = self._rows("known")[-1:]
        self.bars.loc[rows, "state"] = "known"
        return self._as_load(self.bars.loc[rows])

    @staticmethod
    def _as_load(bars: pd.DataFrame) -> Load:
        return Load(
            bars=bars.assign(source_row_number=range(1, len(bars) + 1))[
                BAR_COLUMNS
            ],
            adjustments=pd.DataFrame(columns=ADJUSTMENT_COLUMNS),
        )


@dataclass(frozen=True)
class Step:
    """A load and the builds after it, by what they select."""

    load: Load
    builds: list[list[str]]
    told: list[str]


def sequence(seed: int, *, n_changes: int) -> Iterator[Step]:
    """Random loads, each followed by a whole, a broken or no build.

    A broken build is resumed at once or after further loads; the last build is
    whole.
    """
    market = ChangingMarket(seed)
    random = np.random.default_rng([seed, 1])
    for number in range(n_changes):
        change, load = market.change()
        told, builds = [change], []
        is_last = number == n_changes - 1
        luck = random.random()
        if luck < 0.25 or (is_last and luck < 0.5):
            last_made = str(random.choice(BREAKS))
            told.append(f"build up to {last_made}")
            builds.append([f"+{last_made}"])
        if luck > 0.5 or is_last:
            told.append("build")
            builds.append(WHOLE)
        yield Step(load, builds, told)


@dataclass
class Outcome:
    """What became of a sequence.

    Parameters
    ----------
    seed : int
    steps : list of str
        Changes and builds, in order.
    differences : list of str
        Table, columns and keys in which the incremental build differs.
    """

    seed: int
    steps: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def to_text(self) -> str:
        verdict = "DIFFERENT" if self.differences else "equal"
        lines = [f"seed {self.seed}: {verdict} after {'; '.join(self.steps)}"]
        return "\n  ".join([*lines, *self.differences])


class Sequences:
    """Random sequences that all start from one warehouse.

    Its database is put back for each, under the same name and in the same
    home, so that dbt need not parse its project anew.

    Parameters
    ----------
    warehouse : Warehouse
        Migrated, empty and of this class alone; its login may create
        databases.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self.settings = warehouse.settings
        self.parameters = warehouse.parameters
        self.template = f"{warehouse.parameters.database}_start"
        ingest(warehouse, Delivery(ChangingMarket().start()))
        run(warehouse, ["seed"])
        run(warehouse, RUN)
        warehouse.close()
        self._execute(
            f"create database {self.template} "
            f"template {self.parameters.database}"
        )

    @contextlib.contextmanager
    def start(self) -> Iterator[Warehouse]:
        """Open the warehouse as it was at the start."""
        name = self.parameters.database
        self._execute(
            f"drop database {name} with (force)",
            f"create database {name} template {self.template}",
        )
        with connect(self.settings, self.parameters) as warehouse:
            yield warehouse

    def play(self, seed: int, *, n_changes: int) -> Outcome:
        """Build between random changes, then once from nothing, and compare."""
        outcome = Outcome(seed)
        with self.start() as warehouse:
            for step in sequence(seed, n_changes=n_changes):
                outcome.steps += step.told
                ingest(warehouse, Delivery(step.load))
                for selected in step.builds:
                    run(warehouse, ["run", "--select", *selected])
            incremental = read_tables(warehouse)
            run(warehouse, [*RUN, "--full-refresh"])
            outcome.differences = differences(
                incremental, read_tables(warehouse)
            )
        return outcome

    def _execute(self, *statements: str) -> None:
        connection = psycopg2.connect(
            host=self.parameters.host,
            port=self.parameters.port,
            user=self.parameters.user,
            password=self.parameters.password,
            dbname="postgres",
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()


def run(
    warehouse: Warehouse, command: Sequence[str], **more_vars: int
) -> DbtSummary:
    """Run dbt with the vars of this market, and more."""
    return run_dbt(
        warehouse, [*command, "--vars", json.dumps(VARS | more_vars)]
    )


def read_tables(
    warehouse: Warehouse, *, past: str = ""
) -> dict[str, pd.DataFrame]:
    """Tables of features by name, each by its key, of a build of the past."""
    return {
        table: read_frame(
            warehouse,
            f"select * from {past}{{features}}.{table} "
            f"order by {', '.join(key)}",
        ).set_index(key)
        for table, key in TABLES.items()
    }


def differences(
    found: dict[str, pd.DataFrame], wanted: dict[str, pd.DataFrame]
) -> list[str]:
    """Say in which columns, and at which keys, tables differ in any bit."""
    told = []
    for table in wanted:
        ours, full = found[table], wanted[table]
        for which, keys in (
            ("lacks", full.index.difference(ours.index)),
            ("has besides", ours.index.difference(full.index)),
        ):
            if len(keys):
                told.append(
                    f"{table} {which} {len(keys)} rows, first {first(keys)}"
                )
        keys = full.index.intersection(ours.index)
        ours, full = ours.loc[keys], full.loc[keys]
        assert [*ours.columns] == [*full.columns]
        for column in full.columns:
            is_other = differs(ours[column], full[column])
            if is_other.any():
                told.append(
                    f"{table}.{column} differs in {is_other.sum()} rows, "
                    f"first {first(keys[is_other])}: "
                    f"{ours[column][is_other].iloc[0]!r} instead of "
                    f"{full[column][is_other].iloc[0]!r}"
                )
    return told


def differs(ours: "pd.Series[object]", full: "pd.Series[object]") -> np.ndarray:
    """Where two columns differ; nothing equals nothing, 0 is not -0."""
    is_other = (ours != full) & ~(ours.isna() & full.isna())
    if ours.dtype.kind == full.dtype.kind == "f":
        is_other |= np.signbit(ours) != np.signbit(full)
    # Of nullable columns what stands against nothing is neither true nor false.
    return is_other.to_numpy(bool, na_value=True)


def first(keys: pd.MultiIndex) -> str:
    """The first key of each series, of three series at most."""
    named = keys.to_frame(index=False)
    shown = named.drop_duplicates(named.columns[:-1]).head(3)
    return ", ".join(
        " ".join(map(str, key)) for key in shown.itertuples(index=False)
    )
