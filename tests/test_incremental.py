"""An incremental build ends where a full one does, whatever came in between."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from python_ml.exceptions import BuildError
from python_ml.ingestion.load import ingest
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from tests.changing_market import (
    BREAKS,
    CHANGES,
    N_HOLES,
    RUN,
    START_SESSION,
    TABLES,
    ChangingMarket,
    Delivery,
    Sequences,
    differences,
    read_tables,
    run,
    sequence,
)

# Together they hold every kind of change, see below.
SEEDS = (173, 175, 203, 215)
FURTHER_SEED = pytest.param(157, marks=pytest.mark.slow)
N_CHANGES = 3
# Views whose SQL says from when on something is due, and one on them.
BUILT_IN_EVERY_RUN = (
    "int_bars_adjusted",
    "int_bars_matched_to_targets",
    "int_bars_placed_on_grid",
)
LONGEST_HORIZON_BARS = {"m15": 26, "h1": 35, "h4": 40, "d1": 20}


@pytest.fixture(scope="module")
def sequences(fresh_warehouse: Callable[..., Warehouse]) -> Sequences:
    return Sequences(fresh_warehouse())


@pytest.mark.parametrize(
    "seed",
    [
        *SEEDS[:2],
        *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[2:]),
        FURTHER_SEED,
    ],
)
def test_an_incremental_build_equals_a_full_one(
    sequences: Sequences, seed: int
) -> None:
    outcome = sequences.play(seed, n_changes=N_CHANGES)
    assert not outcome.differences, outcome.to_text()


def test_the_sequences_hold_every_change_and_builds_left_out_and_broken() -> (
    None
):
    steps = [
        step for seed in SEEDS for step in sequence(seed, n_changes=N_CHANGES)
    ]
    kinds = {step.told[0].partition(" (")[0] for step in steps}
    assert kinds == set(CHANGES)
    n_builds = [len(step.builds) for step in steps]
    assert {0, 1, 2} == set(n_builds)
    told = {line for step in steps for line in step.told}
    assert {f"build up to {name}" for name in BREAKS} <= told
    # Bars that only a finer series reads change without any of its own.
    assert "restatement (2 HOURS d1)" in told


def test_the_start_has_usable_rows_of_every_timeframe(
    sequences: Sequences,
) -> None:
    with sequences.start() as warehouse:
        usable = read_frame(
            warehouse,
            "select timeframe, count(*) as n_rows from {features}.feature_rows "
            "where is_usable group by timeframe",
        ).set_index("timeframe")["n_rows"]
        rolled_up = read_frame(
            warehouse,
            "select distinct ticker, timeframe, rolled_up_from "
            "from {features}.bars where rolled_up_from is not null",
        )
    assert usable.index.isin(["m15", "h1", "h4", "d1", "w1"]).sum() == 5
    assert set(rolled_up.itertuples(index=False, name=None)) == {
        ("QUARTERS", "h1", "m15"),
        ("QUARTERS", "h4", "m15"),
        ("QUARTERS", "d1", "m15"),
        ("QUARTERS", "w1", "m15"),
        ("HOURS", "h4", "h1"),
        ("HOURS", "w1", "d1"),
        ("DAYS", "w1", "d1"),
    }


def test_a_second_build_finds_nothing_to_do(sequences: Sequences) -> None:
    with sequences.start() as warehouse:
        first, written = read_tables(warehouse), written_by(warehouse)
        run(warehouse, RUN)
        assert differences(read_tables(warehouse), first) == []
        for table, transactions in written_by(warehouse).items():
            pd.testing.assert_series_equal(transactions, written[table])
        for work_list in ("int_bars_due", "int_series_due"):
            due = read_frame(
                warehouse, f"select * from {{intermediate}}.{work_list}"
            )
            assert due.empty


def test_one_new_bar_of_every_series_touches_only_what_it_must(
    sequences: Sequences,
) -> None:
    market = ChangingMarket()
    with sequences.start() as warehouse:
        before, stood = written_by(warehouse), relations_of(warehouse)
        ingest(warehouse, Delivery(market.next_bars()))
        run(warehouse, RUN)
        after = written_by(warehouse)
        bars = read_tables(warehouse)["bars"]
        # Who reads beside the build finds all but steps of it in place.
        assert stood - relations_of(warehouse) == {
            ("intermediate", name, oid)
            for schema, name, oid in stood
            if name in BUILT_IN_EVERY_RUN
        }
    new = {
        table: after[table].index.difference(before[table].index)
        for table in TABLES
    }
    changed = {}
    for table in TABLES:
        old = after[table].loc[before[table].index]
        changed[table] = old.index[(old != before[table]).to_numpy()]

    added = bars.loc[new["bars"]].reset_index()
    series = [*zip(added["ticker"], added["timeframe"], strict=True)]
    assert sorted(series) == [
        ("DAYS", "d1"),
        ("HOURS", "d1"),
        ("HOURS", "h1"),
        ("QUARTERS", "m15"),
    ]
    # Bars are made again from the start of the week, rows of features never.
    day = market.days[START_SESSION]
    monday = day - pd.offsets.Day(day.weekday())
    assert day > monday
    made_again = bars.loc[changed["bars"]]
    assert made_again["session_date"].min() >= monday
    assert new["feature_rows"].equals(new["bars"])
    assert changed["feature_rows"].empty
    # Labels are, as far as a horizon reaches back from the new bar.
    labels = changed["labels"].to_frame(index=False)
    last = bars.groupby(["ticker", "timeframe", "symbol_id"]).tail(1)
    ends = last.reset_index().set_index(["symbol_id", "timeframe"])
    changed_series = set()
    for key, rows in labels.groupby(["symbol_id", "timeframe"]):
        end = ends.loc[key]
        reach = LONGEST_HORIZON_BARS[key[1]]
        assert rows["bar_number"].min() >= end["bar_number"] - reach
        changed_series.add((end["ticker"], key[1]))
    # Days of HOURS are read by its h4, whose features are none of a label's.
    assert changed_series == {*series}


def test_a_late_bar_takes_the_place_of_what_was_carried(
    sequences: Sequences,
) -> None:
    market = ChangingMarket()
    late = market.late_bars("DAYS", "d1")
    first = pd.Timestamp(late.bars["opened_at"].min())
    assert len(late.bars) == N_HOLES
    with sequences.start() as warehouse:
        before = read_tables(warehouse)
        ingest(warehouse, Delivery(late))
        run(warehouse, RUN)
        after = read_tables(warehouse)
        # What the first load had carried is known of it for good.
        run(warehouse, ["seed"], last_batch_id=1)
        run(warehouse, [*RUN, "--full-refresh"], last_batch_id=1)
        past = read_tables(warehouse, past="batch_1_")
    assert differences(past, before) == []

    bars = after["bars"].reset_index()
    days = bars[(bars["ticker"] == "DAYS") & (bars["timeframe"] == "d1")]
    symbol_id = int(days["symbol_id"].iloc[0])
    old, new = (
        tables["feature_rows"].loc[symbol_id, "d1"]
        for tables in (before, after)
    )
    carried = old["n_carried_bars"]
    assert set(carried.dropna()) == {*range(N_HOLES + 1)}
    assert (new["n_carried_bars"].dropna() == 0).all()
    # Rows that had carried them are restated, those before them are not.
    is_restated = carried > 0
    average = "distance_from_average_60"
    assert (old[average] != new[average].reindex(old.index))[is_restated].all()
    is_before = old["closed_at"] < first
    pd.testing.assert_frame_equal(
        old[is_before], new[new["closed_at"] < first], check_exact=True
    )


def test_what_is_loaded_during_a_build_is_made_by_the_next(
    sequences: Sequences,
) -> None:
    market = ChangingMarket(seed=1)
    with sequences.start() as warehouse:
        # All series are due, so that their bars would take in what comes now.
        ingest(warehouse, Delivery(market.next_bars()))
        run(warehouse, ["run", "--select", "+int_bars_due"])
        told = []
        for _ in range(4):
            change, load = market.change()
            ingest(warehouse, Delivery(load))
            told.append(change)
        run(warehouse, [*RUN, "--exclude", "+int_bars_due"])
        run(warehouse, RUN)
        built = read_tables(warehouse)

        run(warehouse, [*RUN, "--full-refresh"])
        assert differences(built, read_tables(warehouse)) == [], told


def test_loading_a_rolled_up_timeframe_stops_the_build_and_is_mended_as_told(
    sequences: Sequences,
) -> None:
    market = ChangingMarket()
    with sequences.start() as warehouse:
        before = read_tables(warehouse)
        ingest(warehouse, Delivery(market.days_of("QUARTERS", like="DAYS")))
        for _ in range(2):
            with pytest.raises(
                BuildError, match=r"QUARTERS d1.*dbt build --full-refresh"
            ):
                run(warehouse, RUN)
        assert differences(read_tables(warehouse), before) == []

        run(warehouse, [*RUN, "--full-refresh"])
        refreshed = read_tables(warehouse)
        with warehouse.begin() as connection:
            for schema in ("staging", "intermediate", "features"):
                connection.exec_driver_sql(f"drop schema {schema} cascade")
        run(warehouse, ["seed"])
        run(warehouse, RUN)
        fresh = read_tables(warehouse)
        run(warehouse, RUN)
        assert differences(read_tables(warehouse), fresh) == []
    assert differences(refreshed, fresh) == []
    bars = fresh["bars"].reset_index()
    own = bars[bars["ticker"] == "QUARTERS"]
    origins = own[["timeframe", "rolled_up_from"]].drop_duplicates()
    assert dict(origins.fillna("").to_numpy()) == {
        "m15": "",
        "h1": "m15",
        "h4": "m15",
        "d1": "",
        "w1": "d1",
    }


CHANGES_OF_SEEDS = (
    "update features.label_rules set volatility_multiple = 0.5",
    "update features.horizons set horizon_bars = 6 "
    "where timeframe = 'd1' and horizon = '5d'",
    "delete from features.horizons where timeframe = 'd1' and horizon = '5d'",
    "insert into features.horizons (calendar, timeframe, horizon, "
    "horizon_bars) values ('XNYS', 'd1', '2d', 2)",
    "update features.horizons set horizon_bars = 3 "
    "where timeframe = 'm15' and horizon = '1h'",
    # Of a timeframe that the first symbol has not.
    "update features.label_rules set rule = 'fixed_return', "
    "fixed_return = 0.001 where timeframe = 'h4'",
    # What bars and windows are made by.
    "update features.timeframes set max_hole_bars = 1 where timeframe = 'd1'",
    "update features.timeframes set min_parts_share = 0.9 "
    "where timeframe = 'w1'",
)


def test_a_changed_seed_stops_the_build_with_the_command_that_mends_it(
    sequences: Sequences,
) -> None:
    with sequences.start() as warehouse:
        before = read_tables(warehouse)
        for number, change in enumerate(CHANGES_OF_SEEDS):
            with warehouse.begin() as connection:
                for seed in ("label_rules", "horizons", "timeframes"):
                    if number == 0:
                        connection.exec_driver_sql(
                            f"create table public.{seed} as "
                            f"select * from features.{seed}"
                        )
                    connection.exec_driver_sql(
                        f"delete from features.{seed}; "
                        f"insert into features.{seed} "
                        f"select * from public.{seed}"
                    )
                connection.exec_driver_sql(change)
            # A whole build once, then what stops it.
            command = (
                RUN if number == 0 else ["run", "--select", "int_bars_due"]
            )
            with pytest.raises(BuildError, match="dbt build --full-refresh"):
                run(warehouse, command)
            assert differences(read_tables(warehouse), before) == [], change
        run(warehouse, [*RUN, "--full-refresh"])
        told = differences(read_tables(warehouse), before)
        assert any(line.startswith("labels") for line in told)
        run(warehouse, RUN)


def test_a_changed_seed_that_no_label_was_built_by_stops_nothing(
    sequences: Sequences,
) -> None:
    with sequences.start() as warehouse:
        before = read_tables(warehouse)
        with warehouse.begin() as connection:
            connection.exec_driver_sql(
                "update features.horizons set horizon_bars = horizon_bars + 1 "
                "where calendar = 'XLON'"
            )
            connection.exec_driver_sql(
                "update features.label_rules set fixed_return = 0.5"
            )
        run(warehouse, RUN)
        assert differences(read_tables(warehouse), before) == []


def test_a_planned_session_that_moves_takes_its_labels_along(
    sequences: Sequences,
) -> None:
    market = ChangingMarket()
    session = market.days[START_SESSION + 2]
    with sequences.start() as warehouse:
        before = read_tables(warehouse)
        with warehouse.begin() as connection:
            moved = connection.exec_driver_sql(
                "update raw.sessions set closed_at = closed_at "
                "- interval '3 hours' where calendar = 'XNYS' "
                f"and session_date = '{session:%Y-%m-%d}'"
            )
            assert moved.rowcount == 1
        run(warehouse, RUN)
        after = read_tables(warehouse)
        told = differences(after, before)
        assert any(line.startswith("labels.label_end_at") for line in told)
        assert not any(line.startswith("feature_rows") for line in told)
        run(warehouse, [*RUN, "--full-refresh"])
        assert differences(after, read_tables(warehouse)) == []


def test_a_difference_is_told_by_table_column_and_key() -> None:
    key = pd.MultiIndex.from_tuples(
        [(1, "d1", 7), (1, "d1", 8), (2, "d1", 7)],
        names=["symbol_id", "timeframe", "bar_number"],
    )
    full = pd.DataFrame({"move": [0.0, np.nan, 1.5]}, index=key)
    assert differences({"bars": full.copy()}, {"bars": full}) == []
    # 0 and -0 are equal, but not bit for bit.
    other = pd.DataFrame({"move": [-0.0, np.nan]}, index=key[:2])
    assert differences({"bars": other}, {"bars": full}) == [
        "bars lacks 1 rows, first 2 d1 7",
        "bars.move differs in 1 rows, first 1 d1 7: "
        "np.float64(-0.0) instead of np.float64(0.0)",
    ]
    assert differences({"bars": full}, {"bars": other})[0] == (
        "bars has besides 1 rows, first 2 d1 7"
    )


def relations_of(warehouse: Warehouse) -> set[tuple[str, str, int]]:
    """Schema, name and object number of all views, and of all tables."""
    with warehouse.begin() as connection:
        rows = connection.exec_driver_sql(
            "select nspname, relname, pg_class.oid from pg_class "
            "join pg_namespace on pg_namespace.oid = relnamespace "
            "where relkind in ('v', 'r') "
            "and nspname in ('staging', 'intermediate', 'features')"
        )
        return {(schema, name, oid) for schema, name, oid in rows}


def written_by(warehouse: Warehouse) -> dict[str, "pd.Series[str]"]:
    """The transaction that wrote each row, by table and key."""
    return {
        table: read_frame(
            warehouse,
            f"select {', '.join(key)}, cast(xmin as text) as written_by "
            f"from {{features}}.{table} order by {', '.join(key)}",
        ).set_index(key)["written_by"]
        for table, key in TABLES.items()
    }
