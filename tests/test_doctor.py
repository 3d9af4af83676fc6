"""The doctor on planted defects: each is named, with what to do."""

import datetime
import json
from collections.abc import Callable, Iterator

import pandas as pd
import pytest

from python_ml import schema
from python_ml.operations.doctor import machine
from python_ml.operations.doctor.data import is_same_seed
from python_ml.operations.doctor.examine import CHECKS, examine
from python_ml.registry.versions import artifact_file, read_versions
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run
from tests.conftest import (
    embedded_settings,
    run_swiftbolt,
    warehouse_environment,
)
from tests.forecast_market import close_of, deploy, make_ensemble

NOW = datetime.datetime.now(datetime.UTC)
LONG_AGO = NOW - datetime.timedelta(days=40)


@pytest.fixture(scope="module")
def market(
    fresh_warehouse: Callable[..., Warehouse], market_database: str
) -> Iterator[Warehouse]:
    """The built market, whose bars end in 2020, with one live version."""
    with fresh_warehouse(template=market_database) as made:
        deploy(made, make_ensemble(made, ticker="AAA", as_of=close_of(-30)))
        yield made


def found_by(warehouse: Warehouse, monkeypatch, **environment):
    """Findings by check, as the library gives them."""
    variables = warehouse_environment(warehouse) | environment
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    by_check: dict[str, list[str]] = {}
    examination = examine(warehouse.settings)
    assert set(CHECKS) <= set(examination.checks)
    for one in examination.findings:
        by_check.setdefault(one.check, []).append(one.message)
        assert one.advice
    return by_check


def alter_artifact(warehouse):
    for version in read_versions(warehouse).values():
        path = artifact_file(warehouse.settings, version)
        path.write_bytes(path.read_bytes() + b"x")


def change_seed(warehouse):
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            "update monitoring.drift_thresholds set window_days = 8"
        )


def ask_long_ago(warehouse):
    with warehouse.begin() as connection:
        connection.execute(
            schema.retrain_requests.insert().values(
                requested_at=LONG_AGO,
                symbol_id=1,
                timeframe="d1",
                reason="test",
                requested_by="ann",
                status="open",
                n_attempts=0,
            )
        )


def leave_an_alert_open(warehouse):
    with warehouse.begin() as connection:
        connection.execute(
            schema.alerts.insert().values(
                fingerprint="drift: AAA d1",
                kind="drift",
                alert_group="d1",
                subject="AAA d1",
                severity="critical",
                message="",
                advice="",
                cause="",
                state="open",
                first_seen_at=NOW,
                last_seen_at=NOW,
                n_seen=1,
            )
        )


def run_last_long_ago(warehouse):
    with warehouse.begin() as connection:
        connection.execute(
            schema.job_runs.insert().values(
                job="weekly_weights",
                arguments={},
                status="succeeded",
                started_at=close_of(-60),
                host="here",
                pid=1,
                code_version="test",
            )
        )


def fail_a_job(warehouse):
    with pytest.raises(ValueError), job_run(warehouse, "train", {}):  # noqa: PT011
        raise ValueError("no bars")


def lose_a_message(warehouse):
    with warehouse.begin() as connection:
        message_id = connection.execute(
            schema.alert_messages.insert()
            .values(kind="test", created_at=NOW, title="", content={})
            .returning(schema.alert_messages.c.message_id)
        ).scalar_one()
        connection.execute(
            schema.alert_deliveries.insert().values(
                message_id=message_id,
                channel="json-1",
                status="pending",
                n_attempts=3,
                next_attempt_at=NOW,
            )
        )


PLANTED = {
    "seeds": (change_seed, "other seeds than these files: drift_thresholds"),
    "artifacts": (alter_artifact, "missing or altered: AAA_d1_"),
    "requests": (ask_long_ago, "1 requests to train are open, the oldest"),
    "alerts": (leave_an_alert_open, "1 alerts are open, 1 of them critical"),
    "schedules": (run_last_long_ago, "weekly_weights is due since 2020-"),
    "jobs": (fail_a_job, "Job train failed"),
    "channels": (lose_a_message, "1 messages wait for json-1"),
}


def test_each_planted_defect_is_named_and_was_not_before(market, monkeypatch):
    before = found_by(market, monkeypatch)
    # Of a market that ends in 2020 these are true from the start.
    assert set(before) <= {
        "bars",
        "forecasts",
        "series",
        "expiry",
        "schedules",
        "channels",
    }
    assert "The newest XNYS d1 bar of 1 symbol closed at" in before["bars"][0]
    assert "no live forecast since" in before["forecasts"][0]
    assert any("series are no version" in text for text in before["series"])
    assert before["expiry"] == [
        "Versions older than 180 days are live, so that their forecasts are "
        "withheld: AAA d1"
    ]
    assert before["channels"] == ["Nobody is told of alerts"]
    for plant, _ in PLANTED.values():
        plant(market)
    monkeypatch.setattr(machine, "LEAST_FREE_BYTES", 10**18)
    after = found_by(market, monkeypatch, SWIFTBOLT_ALERT_URLS="notaurl")
    for check, (_, message) in PLANTED.items():
        assert any(message in text for text in after[check]), check
        assert not any(message in text for text in before.get(check, []))
    assert "GB of" in after["disk"][0]
    assert "Address 1 of SWIFTBOLT_ALERT_URLS" in after["channels"][0]


def test_the_command_exits_with_1_when_something_must_be_done(market):
    shown = run_swiftbolt(market, "doctor")
    assert shown.returncode == 1
    assert "what to do: scripts/monthly_retrain --force" in shown.stdout
    assert "something must be done" in shown.stdout
    result = json.loads(run_swiftbolt(market, "doctor", "--json").stdout)
    assert result["is_healthy"] is False
    assert {one["severity"] for one in result["findings"]} == {
        "problem",
        "notice",
    }


def test_a_server_that_does_not_run_is_named_and_not_started(throwaway_home):
    settings = embedded_settings(throwaway_home())
    examination = examine(settings)
    assert [one.check for one in examination.findings] == ["server"]
    assert examination.findings[0].advice == "swiftbolt db start"
    assert not settings.server_dir.exists()


@pytest.mark.parametrize(
    ("revision", "advice"), [("0001", "db start"), ("9999", "git pull")]
)
def test_schemas_of_other_code_are_named_and_left_alone(
    warehouse, monkeypatch, revision, advice
):
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            f"update ml.alembic_version set version_num = '{revision}'"
        )
    for name, value in warehouse_environment(warehouse).items():
        monkeypatch.setenv(name, value)
    (finding,) = examine(warehouse.settings).findings
    assert f"at migration {revision}, this code at" in finding.message
    assert advice in finding.advice


def test_an_empty_warehouse_is_told_to_build(warehouse, monkeypatch):
    found = found_by(warehouse, monkeypatch)
    assert "The warehouse was built with other seeds" in found["seeds"][0]
    assert "It could not be looked at" in found["series"][0]


def test_seeds_are_compared_by_value():
    file = pd.DataFrame({"name": ["a"], "n": [1], "is": [True], "x": [0.10]})
    table = pd.DataFrame(
        {"name": ["a"], "n": ["1.0"], "is": [True], "x": [0.1]}
    )
    assert is_same_seed(file, table)
    for column, value in (("name", "b"), ("n", 2), ("is", False), ("x", 0.2)):
        assert not is_same_seed(file, table.assign(**{column: value}))
    assert not is_same_seed(file, table.rename(columns={"x": "y"}))
