"""An incremental build ends where a full one does, whatever came in between."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from python_ml.exceptions import BuildError
from python_ml.ingestion.base import Load
from python_ml.ingestion.load import ingest
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from tests.synthetic_market import N_SESSIONS, SyntheticSource

TABLES = {
    "bars": ["symbol_id", "timeframe", "bar_number"],
    "feature_rows": ["symbol_id", "timeframe", "bar_number"],
    "labels": ["symbol_id", "timeframe", "horizon", "bar_number"],
}
RUN = ["run", "--select", "+feature_rows", "+labels"]


@dataclass
class ChangingSource:
    """The synthetic market as it becomes known, in a random order.

    Each call of `change` brings one thing: later sessions of some symbols, a
    bar that was late, a restated bar, an adjustment that was late.
    """

    seed: int
    name: str = "changing"
    calendar: str = "XNYS"
    known: pd.DataFrame = field(init=False)
    adjustments: pd.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        whole = SyntheticSource().read()
        self.all_bars = whole.bars.reset_index(drop=True)
        self.all_adjustments = whole.adjustments
        days = np.sort(self.all_bars["opened_at"].unique())
        self.ends = dict.fromkeys(self.all_bars["ticker"].unique(), days[449])
        self.days = days
        is_late = self.random.random(len(self.all_bars)) < 0.01
        self.late = set(self.all_bars.index[is_late])
        self.adjustments = self.all_adjustments.iloc[:0]
        self.deliver()

    def deliver(self) -> None:
        end = self.all_bars["ticker"].map(self.ends)
        is_known = self.all_bars["opened_at"] <= end
        is_known &= ~self.all_bars.index.isin(self.late)
        self.known = self.all_bars[is_known]

    def read(self) -> Load:
        return Load(bars=self.known, adjustments=self.adjustments)

    def change(self) -> str:
        kind = self.random.choice(
            ["append", "append", "late bar", "restatement", "adjustment"]
        )
        if kind == "append":
            for ticker in self.ends:
                place = int(np.searchsorted(self.days, self.ends[ticker]))
                later = place + int(self.random.integers(0, 12))
                self.ends[ticker] = self.days[min(later, N_SESSIONS - 1)]
        elif kind == "late bar" and self.late:
            self.late.discard(self.random.choice(sorted(self.late)))
        elif kind == "restatement":
            row = self.random.choice(self.known.index)
            factor = 1 + 0.05 * self.random.random()
            prices = ["open", "high", "low", "close"]
            self.all_bars.loc[row, prices] *= factor
        else:
            self.adjustments = self.all_adjustments.iloc[
                : len(self.adjustments) + 1
            ]
        self.deliver()
        return str(kind)


def tables(warehouse: Warehouse) -> dict[str, pd.DataFrame]:
    return {
        table: read_frame(
            warehouse,
            f"select * from {{features}}.{table} order by {', '.join(key)}",
        )
        for table, key in TABLES.items()
    }


def assert_same(
    incremental: dict[str, pd.DataFrame],
    full: dict[str, pd.DataFrame],
    history: str,
) -> None:
    for table in TABLES:
        try:
            pd.testing.assert_frame_equal(
                incremental[table], full[table], check_exact=True
            )
        except AssertionError as difference:
            raise AssertionError(
                f"{table} differs after {history}: {difference}"
            ) from difference


def run_sequence(
    make_warehouse: Callable[..., Warehouse], *, seed: int, n_changes: int = 3
) -> None:
    """Build after every change, then once from nothing, and compare."""
    source = ChangingSource(seed)
    history = [f"seed {seed}: start"]
    with make_warehouse() as warehouse:
        ingest(warehouse, source)
        run_dbt(warehouse, ["seed"])
        run_dbt(warehouse, RUN)
        for _ in range(n_changes):
            history.append(source.change())
            ingest(warehouse, source)
            run_dbt(warehouse, RUN)
        incremental = tables(warehouse)
        run_dbt(warehouse, [*RUN, "--full-refresh"])
        assert_same(incremental, tables(warehouse), ", ".join(history))


@pytest.mark.parametrize("seed", range(5))
def test_an_incremental_build_equals_a_full_one(
    fresh_warehouse: Callable[..., Warehouse], seed: int
) -> None:
    run_sequence(fresh_warehouse, seed=seed)


def test_a_second_build_finds_nothing_to_do(
    fresh_warehouse: Callable[..., Warehouse],
) -> None:
    with fresh_warehouse() as warehouse:
        ingest(warehouse, ChangingSource(0))
        run_dbt(warehouse, ["seed"])
        run_dbt(warehouse, RUN)
        first = tables(warehouse)
        run_dbt(warehouse, RUN)
        assert_same(tables(warehouse), first, "a second run")
        for work_list in ("int_bars_due", "int_series_due"):
            due = read_frame(
                warehouse, f"select * from {{intermediate}}.{work_list}"
            )
            assert due.empty


def test_a_changed_seed_stops_the_build_with_the_command_that_mends_it(
    fresh_warehouse: Callable[..., Warehouse],
) -> None:
    with fresh_warehouse() as warehouse:
        ingest(warehouse, ChangingSource(0))
        run_dbt(warehouse, ["seed"])
        run_dbt(warehouse, RUN)
        before = tables(warehouse)["labels"]
        with warehouse.begin() as connection:
            connection.exec_driver_sql(
                "update features.label_rules set volatility_multiple = 0.5"
            )
        with pytest.raises(BuildError, match="dbt build --full-refresh"):
            run_dbt(warehouse, RUN)
        pd.testing.assert_frame_equal(tables(warehouse)["labels"], before)
        run_dbt(warehouse, [*RUN, "--full-refresh"])
        assert not tables(warehouse)["labels"]["label_threshold"].equals(
            before["label_threshold"]
        )
