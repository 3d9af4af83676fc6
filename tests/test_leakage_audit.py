"""Every audit finds the violation that is planted for it, and nothing else."""

import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from python_ml.examples.cuts import (
    end_of_day,
    ensure_cuts,
)
from python_ml.exceptions import BuildError
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from tests.restated_market import AS_OF
from tests.synthetic_market import sessions

AUDITS = sorted(
    path.stem
    for path in (PROJECT_ROOT / "dbt_project/models/leakage_audit").glob(
        "audit_*.sql"
    )
)
# The constraints of the built tables would refuse most of what is planted.
LOOSEN = """
do $$
declare found record;
begin
    for found in
        select conrelid::regclass as relation, conname
        from pg_constraint
        where
            contype in ('p', 'c')
            and connamespace = to_regnamespace('{features}')
    loop
        execute format(
            'alter table %%s drop constraint %%I cascade',
            found.relation, found.conname
        );
    end loop;
end $$
"""
PAIR = "symbol_id = (select symbol_id from {raw}.symbols where ticker = 'PAIR')"
# By audit: what plants the violation.
VIOLATIONS = {
    "audit_label_crosses_cut": (
        "update {ml}.training_cuts "
        "set fit_labels_end_before = validation_starts_at + interval '9 days' "
        "where timeframe = 'd1'",
    ),
    # Beside the update above, which moves the boundary of both windows.
    "audit_pooled_label_crosses_cut": (
        "update {ml}.training_cuts "
        "set pooled_window_starts_at = window_starts_at - interval '30 days' "
        "where timeframe = 'd1'",
    ),
    "audit_label_end_off_grid": (
        "update {features}.labels "
        "set label_end_at = label_end_at - interval '1 hour' "
        f"where {PAIR} and horizon = '5d' and bar_number % 100 = 0",
    ),
    "audit_label_present_before_its_time": (
        "update {features}.labels set label = 'NEUTRAL', label_return = 0 "
        "where label_reason = 'not_closed'",
    ),
    "audit_feature_built_from_later_bar": (
        "update {features}.feature_rows "
        "set last_bar_closed_at = closed_at + interval '1 second' "
        f"where {PAIR} and timeframe = 'd1' and bar_number % 100 = 1",
    ),
    "audit_higher_bar_used_before_its_close": (
        "update {features}.feature_rows "
        "set higher_bar_closed_at = closed_at + interval '1 second' "
        f"where {PAIR} and timeframe = 'd1' and bar_number % 100 = 2",
    ),
    # In a session, but half of it.
    "audit_bar_off_grid": (
        "insert into {raw}.bars select symbol_id, timeframe, "
        "opened_at + interval '1 hour', batch_id, closed_at, open, high, low, "
        "close, volume, recorded_at, is_backfill, ingested_at, source "
        f"from {{raw}}.bars where {PAIR} order by opened_at limit 1",
    ),
    # The Saturday after the first Friday.
    "audit_bar_without_session": (
        "insert into {raw}.bars select symbol_id, timeframe, "
        "opened_at + interval '1 day', batch_id, closed_at + interval '1 day', "
        "open, high, low, close, volume, recorded_at, is_backfill, "
        "ingested_at, source from {raw}.bars "
        f"where {PAIR} and extract(isodow from opened_at) = 5 "
        "order by opened_at limit 1",
    ),
    "audit_duplicate_grain": tuple(
        f"insert into {{features}}.{table} select * from {{features}}.{table} "
        f"where {PAIR} and timeframe = 'w1' and bar_number = ("
        f"select max(bar_number) - 40 from {{features}}.{table} "
        "where timeframe = 'w1')"
        for table in ("bars", "feature_rows", "labels")
    ),
    "audit_training_row_not_known_at_as_of": (
        "update {features}.feature_rows set max_recorded_at = cuts.as_of "
        "+ interval '1 day' from {ml}.training_cuts as cuts "
        f"where {PAIR} and feature_rows.timeframe = 'd1' "
        "and cuts.timeframe = 'd1' "
        "and feature_rows.closed_at = cuts.validation_starts_at",
    ),
    "audit_restatement_used_before_it_was_recorded": (
        # A further record dated as if it had been the first.
        "insert into {raw}.ingest_batches (source, ingested_at, n_bars, "
        "n_adjustments, n_rejected) values ('planted', now(), 1, 0, 0)",
        "insert into {raw}.bars select symbol_id, timeframe, opened_at, "
        "(select max(batch_id) from {raw}.ingest_batches), closed_at, open, "
        "high, low, close, volume, closed_at, true, now(), 'planted' "
        f"from {{raw}}.bars where {PAIR} order by opened_at offset 9 limit 1",
        "update {staging}.stg_market__last_batch "
        "set batch_id = (select max(batch_id) from {raw}.ingest_batches)",
        # A restated bar in the windows of rows that do not declare it.
        "update {features}.bars set max_recorded_at = closed_at "
        "+ interval '99 days' where ticker = 'HALT' and timeframe = 'd1' "
        f"and session_date = '{sessions()[300]}'",
    ),
    "audit_series_in_training_and_not_in_scoring": (
        "update {features}.labels set expected_volatility = null "
        f"where {PAIR} and horizon = '20d' and timeframe = 'd1'",
    ),
    "audit_forecast_by_version_from_its_future": (
        "insert into {ml}.ensembles (version_id, symbol_id, timeframe, as_of, "
        "cut_id, artifact_path, sha256, horizons, feature_names, classes, "
        "data_fingerprint, settings_fingerprint, code_version, "
        "library_versions) select 'PAIR_d1_late', symbol_id, 'd1', now(), "
        "(select min(cut_id) from {ml}.training_cuts), '', '', '[]', '[]', "
        "'[]', '', '', '', '{}' from {raw}.symbols where ticker = 'PAIR'",
        "insert into {ml}.forecasts (symbol_id, timeframe, horizon, "
        "horizon_bars, bar_number, closed_at, run_kind, run_name, issued_at, "
        "is_late, target_bar_number, target_at, probability_bearish, "
        "probability_neutral, probability_bullish, direction, confidence, "
        "climatology_bearish, climatology_neutral, climatology_bullish, "
        "member_probabilities, reference_close, expected_volatility, "
        "label_threshold, price_target, lower_50, upper_50, lower_80, "
        "upper_80, lower_95, upper_95, version_id) "
        "select symbol_id, timeframe, '1d', 1, bar_number, closed_at, "
        "'replay', 'replay', now(), false, bar_number + 1, "
        "closed_at + interval '1 day', 0.2, 0.3, 0.5, 'BULLISH', 0.1, 0.3, "
        "0.4, 0.3, '{}', 100, 0.01, 0.004, 101, 99, 101, 98, 102, 97, 103, "
        f"'PAIR_d1_late' from {{features}}.bars where {PAIR} "
        "and timeframe = 'd1' order by bar_number desc limit 1",
    ),
    "audit_forecast_issued_by_wrong_clock": (
        "insert into {ml}.ensembles (version_id, symbol_id, timeframe, as_of, "
        "cut_id, artifact_path, sha256, horizons, feature_names, classes, "
        "data_fingerprint, settings_fingerprint, code_version, "
        "library_versions) select 'PAIR_d1_old', symbol_id, 'd1', "
        "timestamptz '2000-01-01', "
        "(select min(cut_id) from {ml}.training_cuts), '', '', '[]', '[]', "
        "'[]', 'old', '', '', '{}' from {raw}.symbols where ticker = 'PAIR'",
        "insert into {ml}.forecasts (symbol_id, timeframe, horizon, "
        "horizon_bars, bar_number, closed_at, run_kind, run_name, issued_at, "
        "is_late, target_bar_number, target_at, probability_bearish, "
        "probability_neutral, probability_bullish, direction, confidence, "
        "climatology_bearish, climatology_neutral, climatology_bullish, "
        "member_probabilities, reference_close, expected_volatility, "
        "label_threshold, price_target, lower_50, upper_50, lower_80, "
        "upper_80, lower_95, upper_95, version_id) "
        "select symbol_id, timeframe, '1d', 1, bar_number, closed_at, "
        "'live', 'live', closed_at - interval '1 second', false, "
        "bar_number + 1, closed_at + interval '1 day', 0.2, 0.3, 0.5, "
        "'BULLISH', 0.1, 0.3, "
        "0.4, 0.3, '{}', 100, 0.01, 0.004, 101, 99, 101, 98, 102, 97, 103, "
        f"'PAIR_d1_old' from {{features}}.bars where {PAIR} "
        "and timeframe = 'd1' order by bar_number desc limit 1",
    ),
}


@pytest.fixture(scope="module")
def healthy(
    fresh_warehouse: Callable[..., Warehouse], synthetic_database: str
) -> Warehouse:
    """The synthetic market, built, with cuts as of `AS_OF`."""
    made = fresh_warehouse(template=synthetic_database)
    ensure_cuts(made, {"XNYS": end_of_day(AS_OF)}, [("XNYS", "d1")])
    return made


# Session of the first bar of a training window that pooled members look beyond.
WINDOW_START = 200
UNKNOWN = {
    "a row that only pooled members learn from": (
        "update {features}.feature_rows set max_recorded_at = cuts.as_of "
        "+ interval '1 day' from {ml}.training_cuts as cuts "
        f"where {PAIR} and feature_rows.timeframe = 'd1' "
        f"and session_date = '{sessions()[WINDOW_START - 50]}'",
        {(WINDOW_START - 50, horizon) for horizon in ("1d", "5d", "20d")},
    ),
    "a dividend between the ends of labels": (
        "insert into {raw}.adjustments (symbol_id, effective_at, kind, "
        "batch_id, factor, recorded_at, is_backfill, ingested_at, source) "
        "select symbol_id, opened_at, 'dividend', batch_id, 0.97, "
        "cuts.as_of + interval '1 day', false, now(), 'planted' "
        "from {raw}.bars cross join {ml}.training_cuts as cuts "
        f"where {PAIR} "
        f"and cast(opened_at as date) = '{sessions()[WINDOW_START + 50]}'",
        {
            (WINDOW_START + 50 - back, horizon)
            for horizon, bars in {"1d": 1, "5d": 5, "20d": 20}.items()
            for back in range(1, bars + 1)
        },
    ),
}


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_what_an_example_is_made_from_was_known_whoever_learns_from_it(
    healthy: Warehouse,
    fresh_warehouse: Callable[..., Warehouse],
    unknown: str,
) -> None:
    statement, expected = UNKNOWN[unknown]
    days = sessions()
    healthy.close()
    with fresh_warehouse(template=healthy.parameters.database) as made:
        with made.begin() as connection:
            for one in (
                "update {ml}.training_cuts set window_starts_at = closed_at "
                f"from {{features}}.bars where {PAIR} "
                "and bars.timeframe = 'd1' and training_cuts.timeframe = 'd1' "
                f"and session_date = '{days[WINDOW_START]}'",
                statement,
            ):
                done = connection.exec_driver_sql(made.sql(one))
                assert done.rowcount > 0, one
        found = read_frame(
            made,
            "select ticker, horizon, cast(closed_at as date) as day "
            "from {leakage_audit}.audit_training_row_not_known_at_as_of",
        )
    assert set(found["ticker"]) == {"PAIR"}
    at = [days.index(str(day)[:10]) for day in found["day"]]
    assert sorted(zip(at, found["horizon"], strict=True)) == sorted(expected)


def test_the_boundary_of_every_cut_is_audited_and_pooled_rows_of_the_latest(
    healthy: Warehouse, fresh_warehouse: Callable[..., Warehouse]
) -> None:
    healthy.close()
    with fresh_warehouse(template=healthy.parameters.database) as made:
        later = end_of_day(AS_OF + datetime.timedelta(days=7))
        ensure_cuts(made, {"XNYS": later}, [("XNYS", "d1")])
        cuts = read_frame(
            made,
            "select cut_id from {ml}.training_cuts "
            "where timeframe = 'd1' order by cut_id",
        )["cut_id"].tolist()
        found = []
        for cut_id in cuts:
            with made.begin() as connection:
                connection.exec_driver_sql(
                    made.sql(
                        "update {ml}.training_cuts set fit_labels_end_before "
                        "= validation_starts_at + interval '9 days' "
                        f"where cut_id = {cut_id}"
                    )
                )
            found.append(
                [
                    read_frame(
                        made,
                        "select distinct cut_id "
                        f"from {{leakage_audit}}.{audit} order by cut_id",
                    )["cut_id"].tolist()
                    for audit in (
                        "audit_label_crosses_cut",
                        "audit_pooled_label_crosses_cut",
                    )
                ]
            )
    first, latest = cuts
    assert found == [[[first], []], [[first, latest], [latest]]]


@pytest.fixture
def violated(
    healthy: Warehouse, fresh_warehouse: Callable[..., Warehouse]
) -> Iterator[Warehouse]:
    """The same with every violation in it."""
    healthy.close()
    with fresh_warehouse(template=healthy.parameters.database) as made:
        with made.begin() as connection:
            connection.exec_driver_sql(made.sql(LOOSEN))
            for statements in VIOLATIONS.values():
                for statement in statements:
                    done = connection.exec_driver_sql(
                        made.sql(statement).replace("%", "%%")
                    )
                    assert done.rowcount > 0, statement
        yield made


def findings(warehouse: Warehouse) -> dict[str, int]:
    """Number of rows by audit."""
    return {
        audit: int(
            read_frame(
                warehouse,
                f"select count(*) as n_rows from {{leakage_audit}}.{audit}",
            )["n_rows"].iloc[0]
        )
        for audit in AUDITS
    }


def test_every_audit_has_a_violation_here() -> None:
    assert sorted(VIOLATIONS) == AUDITS


def test_every_audit_is_empty_on_a_healthy_market(healthy: Warehouse) -> None:
    assert findings(healthy) == dict.fromkeys(AUDITS, 0)


def test_every_planted_violation_is_reported_by_the_audit_meant_for_it(
    violated: Warehouse,
) -> None:
    with pytest.raises(BuildError):
        run_dbt(
            violated,
            ["test", "--select", "test_name:is_empty", "--write-json"],
        )
    target = Path(violated.settings.home) / "dbt_target" / "run_results.json"
    failed = {
        result["unique_id"].split(".")[2]
        for result in json.loads(target.read_text())["results"]
        if result["status"] == "fail"
    }
    assert failed == {f"is_empty_{audit}_" for audit in AUDITS}

    restated = read_frame(
        violated,
        "select ticker, violation, min(closed_at) as first_closed_at, "
        "count(*) as n_rows from {leakage_audit}"
        ".audit_restatement_used_before_it_was_recorded "
        "group by ticker, violation order by violation",
    )
    assert restated["violation"].tolist() == [
        "dated_before_its_load",
        "not_declared_by_the_row",
    ]
    # The bar's own row and the sixty whose windows hold it.
    assert restated["n_rows"].tolist() == [1, 61]
    duplicates = read_frame(
        violated,
        "select distinct relation from {leakage_audit}.audit_duplicate_grain",
    )
    assert set(duplicates["relation"]) == {"bars", "feature_rows", "labels"}


def test_an_accepted_exception_silences_its_audit_and_no_other(
    violated: Warehouse,
) -> None:
    found = findings(violated)
    assert min(found.values()) > 0
    for number, audit in enumerate(AUDITS, start=1):
        with violated.begin() as connection:
            connection.exec_driver_sql(
                violated.sql(
                    "insert into {leakage_audit}.leakage_audit_exceptions "
                    f"(audit, reason) values ('{audit}', 'planted')"
                )
            )
        accepted = dict.fromkeys(AUDITS[:number], 0)
        assert findings(violated) == found | accepted
