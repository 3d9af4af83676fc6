"""Alerts on a real warehouse, told to a real server, killed half-way."""

import datetime
import json
import signal
import subprocess
import sys
import textwrap
from collections import deque
from collections.abc import Iterator

import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.exceptions import JobRunningError, UnknownAlertError
from python_ml.monitoring.alerts import answers, channels, delivery
from python_ml.monitoring.alerts.channels import read_channels
from python_ml.monitoring.alerts.check import (
    alerts_told_after,
    check_alerts,
    send_test,
)
from python_ml.monitoring.alerts.kinds import KINDS
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run
from python_ml.warehouse.ledgers import rewriting
from tests.alert_receiver import Receiver, running_receiver
from tests.conftest import run_swiftbolt, warehouse_environment
from tests.forecast_market import close_of, deploy, make_ensemble

HOUR = datetime.timedelta(hours=1)
SECRET = "topsecretword"
ALERT_TABLES = (
    schema.alert_attempts,
    schema.alert_deliveries,
    schema.alert_messages,
    schema.alerts,
)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with running_receiver() as made:
        yield made


@pytest.fixture(scope="module")
def market(fresh_warehouse, market_database) -> Iterator[Warehouse]:
    """The built market with a live version of one series."""
    with fresh_warehouse(template=market_database) as made:
        deploy(made, make_ensemble(made, ticker="AAA", as_of=close_of(-30)))
        yield made


@pytest.fixture
def clean(module_warehouse, receiver, monkeypatch) -> Warehouse:
    """A warehouse without jobs, alerts and messages."""
    monkeypatch.setattr(channels, "TIMEOUT_SECONDS", 0.3)
    receiver.reset()
    empty(module_warehouse)
    return module_warehouse


@pytest.fixture
def clean_market(market) -> Warehouse:
    empty(market)
    return market


def empty(warehouse) -> None:
    with rewriting(warehouse) as connection:
        for table in (
            *ALERT_TABLES,
            schema.promotions,
            schema.band_states,
            schema.job_runs,
        ):
            connection.execute(table.delete())


def urls(receiver) -> dict[str, str]:
    return {"SWIFTBOLT_ALERT_URLS": f"json://a:{SECRET}@{receiver.address}/x"}


def check(warehouse, receiver, *, now=None, kinds=("job_failed",)):
    return check_alerts(
        warehouse,
        channels=read_channels(urls(receiver)),
        now=now,
        kinds=[kind for kind in KINDS if kind.name in kinds],
        sleep=lambda seconds: None,
    )


def fail(warehouse, job="train", message="no bars") -> None:
    with pytest.raises(ValueError, match=message), job_run(warehouse, job, {}):
        raise ValueError(message)


def count(warehouse, table) -> int:
    with warehouse.begin() as connection:
        return connection.execute(
            sa.select(sa.func.count()).select_from(table)
        ).scalar_one()


def opened(warehouse, kind, *, now=None):
    """Messages of a kind that a check opens."""
    check_alerts(
        warehouse,
        channels=read_channels({}),
        now=now,
        kinds=[one for one in KINDS if one.name == kind],
    )
    frame = answers.list_alerts(warehouse)
    return frame[frame["kind"] == kind]["message"].tolist()


def test_a_failed_job_is_told_once_and_so_is_its_recovery(clean, receiver):
    fail(clean)
    assert check(clean, receiver).opened == 1
    assert check(clean, receiver).seen == 1
    (message,) = receiver.messages
    assert message["title"].startswith("SwiftBolt: 1 new")
    assert "Job train failed" in message["message"]
    assert "no bars. What to do: mend that" in message["message"]
    with job_run(clean, "train", {}):
        pass
    assert check(clean, receiver).resolved == 1
    assert check(clean, receiver).delivery.delivered == 0
    assert [one["title"].partition(" (")[0] for one in receiver.messages] == [
        "SwiftBolt: 1 new",
        "SwiftBolt: 1 over",
    ]
    shown = answers.read_messages(
        clean, int(answers.list_alerts(clean, is_all=True)["alert_id"][0])
    )
    assert shown["status"].tolist() == ["delivered", "delivered"]


def test_an_alert_that_goes_on_is_told_again_after_the_seeds_hours(
    clean, receiver
):
    fail(clean)
    now = datetime.datetime.now(datetime.UTC)
    for hours, n_messages in ((0, 1), (23, 1), (24, 2), (25, 2)):
        check(clean, receiver, now=now + hours * HOUR)
        assert len(receiver.messages) == n_messages, hours
    assert "still, since" in receiver.messages[1]["message"]


def test_a_job_that_died_is_told_and_one_that_runs_is_not(clean):
    with job_run(clean, "ingest", {}):
        assert opened(clean, "job_failed") == []
    with clean.begin() as connection:
        connection.execute(
            schema.job_runs.update().values(status="running", finished_at=None)
        )
    (message,) = opened(clean, "job_failed")
    assert message.startswith("Job ingest, started at ")
    assert message.endswith("died before its end")


def test_a_job_that_had_to_wait_for_another_has_not_failed(clean):
    with (
        job_run(clean, "train", {}),
        pytest.raises(JobRunningError),
        job_run(clean, "serve-requests", {}),
        job_run(clean, "train", {}),
    ):
        pass
    assert opened(clean, "job_failed") == []


def test_of_jobs_within_one_another_the_inner_one_is_told(clean):
    with (  # noqa: PT012
        pytest.raises(ValueError, match="broken"),
        job_run(clean, "run", {}),
    ):
        fail(clean, "build", "broken")
        raise ValueError("broken")
    (message,) = opened(clean, "job_failed")
    assert message.startswith("Job build failed")


def test_a_channel_that_is_down_fails_no_job_and_gets_its_message_later(
    clean, receiver
):
    fail(clean)
    receiver.faults, receiver.fault_stays = deque([500]), True
    now = datetime.datetime.now(datetime.UTC)
    summary = check(clean, receiver, now=now)
    assert summary.delivery.failures[0].endswith("it answered 500")
    assert (summary.delivery.waiting, receiver.n_requests) == (1, 3)
    # Not before the time that was set, not even now that it is up again.
    receiver.reset()
    assert check(clean, receiver, now=now).delivery.delivered == 0
    assert check(clean, receiver, now=now + HOUR).delivery.delivered == 1
    assert len(receiver.messages) == 1
    attempts = read_frame(
        clean, "select outcome, reason from {ml}.alert_attempts order by 1"
    )
    assert attempts["outcome"].tolist() == ["delivered", *["failed"] * 3]
    statuses = read_frame(clean, "select job, status from {ml}.job_runs")
    assert set(statuses.query("job == 'alerts'")["status"]) == {"succeeded"}


def test_what_cannot_be_delivered_for_days_is_given_up(clean, receiver):
    fail(clean)
    receiver.faults, receiver.fault_stays = deque(["cut"]), True
    now = datetime.datetime.now(datetime.UTC)
    check(clean, receiver, now=now)
    later = check(clean, receiver, now=now + 73 * HOUR)
    assert later.delivery.given_up == 1
    # The alert goes on, so a new message says so.
    receiver.reset()
    assert check(clean, receiver, now=now + 98 * HOUR).delivery.delivered >= 1


def check_elsewhere(warehouse, *, now):
    """Check in an environment without any address."""
    return check_alerts(
        warehouse, channels=read_channels({}), now=now, kinds=KINDS[:1]
    )


def test_a_message_waits_for_a_process_that_knows_its_channel(clean, receiver):
    fail(clean)
    receiver.faults, receiver.fault_stays = deque([500]), True
    now = datetime.datetime.now(datetime.UTC)
    check(clean, receiver, now=now)
    receiver.reset()
    elsewhere = check_elsewhere(clean, now=now + HOUR).delivery
    assert (elsewhere.waiting, len(elsewhere.failures)) == (1, 1)
    assert "no address of it" in elsewhere.failures[0]
    assert check(clean, receiver, now=now + HOUR).delivery.delivered == 1
    assert len(receiver.messages) == 1


def test_a_message_whose_channel_nobody_knows_for_days_is_dropped(
    clean, receiver
):
    fail(clean)
    receiver.faults, receiver.fault_stays = deque([500]), True
    now = datetime.datetime.now(datetime.UTC)
    check(clean, receiver, now=now)
    for hours, expected in ((71, "pending"), (73, "dropped")):
        check_elsewhere(clean, now=now + hours * HOUR)
        found = read_frame(clean, "select status from {ml}.alert_deliveries")
        assert found["status"].tolist() == [expected]


def test_an_address_that_apprise_does_not_read_is_told_and_tells_nothing(
    clean, receiver
):
    unreadable = read_channels({"SWIFTBOLT_ALERT_URLS": "nothing://b"})
    fail(clean)
    summary = check_alerts(clean, channels=unreadable, kinds=KINDS[:1])
    assert summary.problems[0].startswith("Address 1 of SWIFTBOLT_ALERT_URLS")
    assert not summary.has_channels
    # The alert was told to nobody, so it is still new.
    assert check(clean, receiver).delivery.delivered == 1


QUIET = """
    import sys
    from python_ml.monitoring.alerts.check import check_alerts
    from python_ml.settings import load_settings
    from python_ml.warehouse.connection import open_warehouse

    with open_warehouse(load_settings()) as warehouse:
        assert check_alerts(warehouse, kinds=()).has_channels
    assert "apprise" not in sys.modules
"""


def test_a_check_with_nothing_to_tell_does_not_wait_for_apprise(
    clean, receiver
):
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(QUIET)],
        check=True,
        cwd=PROJECT_ROOT,
        env=warehouse_environment(clean) | urls(receiver),
        timeout=60,
    )


KILLED = """
    import os, signal
    from python_ml.monitoring.alerts import check, delivery, records
    from python_ml.monitoring.alerts.kinds import KINDS
    from python_ml.settings import load_settings
    from python_ml.warehouse.connection import open_warehouse

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    def send_and_die(*arguments, **keywords):
        send(*arguments, **keywords)
        die()

    send = delivery.send
    if {point!r} == "before the commit":
        records._mark_told = die
    elif {point!r} == "before sending":
        check.deliver_pending = die
    elif {point!r} == "while sending":
        delivery.send = die
    else:
        delivery.send = send_and_die
    check.check_alerts(open_warehouse(load_settings()), kinds=KINDS[:1])
"""


@pytest.mark.parametrize(
    ("point", "n_messages"),
    [
        ("before the commit", 1),
        ("before sending", 1),
        ("while sending", 0),
        ("after sending", 1),
    ],
)
def test_a_check_that_is_killed_tells_nothing_twice(
    clean, receiver, point, n_messages
):
    """In doubt whether it came, it is not sent again, and is on record."""
    fail(clean)
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(KILLED.format(point=point)),
        ],
        cwd=PROJECT_ROOT,
        env=warehouse_environment(clean) | urls(receiver),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    for _ in range(2):
        check_until_unlocked(clean, receiver)
    assert len(receiver.messages) == n_messages
    statuses = read_frame(clean, "select status from {ml}.alert_deliveries")
    assert statuses["status"].tolist() == [
        "in_doubt"
        if point.endswith("sending") and point != "before sending"
        else "delivered"
    ]
    (alert,) = answers.list_alerts(clean).to_dict("records")
    assert alert["state"] == "open"
    assert alert["announced_at"] is not None


def check_until_unlocked(warehouse, receiver) -> None:
    """The server notices a killed process a moment later."""
    while True:
        try:
            check(warehouse, receiver)
        except JobRunningError:
            continue
        return


def test_a_job_goes_on_whatever_becomes_of_its_alerts(clean, monkeypatch):
    monkeypatch.setenv("SWIFTBOLT_ALERT_URLS", "notaurl")
    with alerts_told_after(clean):
        pass
    assert count(clean, schema.job_runs) == 1
    with job_run(clean, "alerts", {}), alerts_told_after(clean):
        pass
    # Who ends a job by a signal does not wait for messages.
    with pytest.raises(KeyboardInterrupt), alerts_told_after(clean):
        raise KeyboardInterrupt
    assert count(clean, schema.job_runs) == 2
    monkeypatch.setattr(
        "python_ml.monitoring.alerts.check.read_rules", lambda _: 1 / 0
    )
    with pytest.raises(KeyError), alerts_told_after(clean):
        raise KeyError("the job's own error")


def test_no_table_and_no_log_holds_a_secret(clean, receiver, caplog):
    fail(clean)
    receiver.faults = deque([500, 302, "hang", None])
    check(clean, receiver)
    send_test(clean, channels=read_channels(urls(receiver)))
    tables = (*ALERT_TABLES, schema.job_runs)
    with clean.begin() as connection:
        kept = json.dumps(
            [
                [list(row) for row in connection.execute(table.select())]
                for table in tables
            ],
            default=str,
        )
    assert SECRET not in kept + caplog.text
    assert receiver.address not in kept


def test_answers_change_what_is_told(clean, receiver):
    fail(clean)
    check(clean, receiver)
    (alert_id,) = answers.list_alerts(clean)["alert_id"].tolist()
    now = datetime.datetime.now(datetime.UTC)
    answers.acknowledge(clean, [alert_id], by="ann", note="mine")
    check(clean, receiver, now=now + 30 * HOUR)
    assert len(receiver.messages) == 1
    answers.silence(clean, [alert_id], until=now + 40 * HOUR, by="ann")
    check(clean, receiver, now=now + 39 * HOUR)
    assert len(receiver.messages) == 1
    check(clean, receiver, now=now + 40 * HOUR)
    assert len(receiver.messages) == 2
    answers.resolve(clean, [alert_id], by="ann", note="known")
    assert check(clean, receiver).opened == 0
    fail(clean)
    assert check(clean, receiver).opened == 1
    with pytest.raises(UnknownAlertError, match="No alert is open under 0"):
        answers.resolve(clean, [0], by="ann", note="")
    with pytest.raises(UnknownAlertError, match="There is no alert 0"):
        answers.read_alert(clean, 0)


def test_bars_that_are_old_are_told_by_timeframe(clean_market):
    last = close_of(-1).to_pydatetime()
    assert opened(clean_market, "data_stale", now=last + 30 * HOUR) == []
    (message,) = opened(clean_market, "data_stale", now=last + 24 * 10 * HOUR)
    assert message.startswith("The newest XNYS d1 bar of 1 symbol closed at")
    assert message.endswith("sessions since lack theirs")


def test_bars_without_a_forecast_are_told_and_old_bars_are_not(clean_market):
    """One alert a cause: no forecast could be made of bars that lack."""
    (message,) = opened(clean_market, "no_forecast")
    assert message.startswith(
        "1 of 1 XNYS d1 series have bars but no live forecast since "
        f"{close_of(-30):%Y-%m-%d}"
    )
    assert message.endswith(": AAA")


def band_states(shares):
    return pd.DataFrame(
        {
            "run_kind": "live",
            "run_name": "live",
            "calendar": "XNYS",
            "timeframe": "d1",
            "horizon": "1d",
            "bar_number": range(1, len(shares) + 1),
            "closed_at": pd.Timestamp("2020-01-01", tz="UTC"),
            "from_bar_number": 1,
            **{f"offset_{end}": 0.0 for end in schema.BAND_ENDS},
            "n_outcomes": 1,
            "share_inside_80": shares,
            "batch_id": 1,
            "created_at": pd.Timestamp("2020-01-01", tz="UTC"),
        }
    )


@pytest.mark.parametrize(
    ("shares", "is_told"),
    [
        ([0.8] * 60, False),
        # The standard error of 60 coin tosses is 5.2%.
        ([0.65] * 60, False),
        ([0.64] * 60, True),
        ([0.96] * 60, True),
        # What lies further back than 60 sessions counts no more.
        ([0.0] * 40 + [0.8] * 60, False),
    ],
)
def test_coverage_is_broken_beyond_three_standard_errors(
    clean_market, shares, is_told
):
    from python_ml.warehouse.bulk import insert_frame

    with clean_market.begin() as connection:
        insert_frame(connection, schema.band_states, band_states(shares))
    assert bool(opened(clean_market, "coverage_broken")) == is_told


def promote(warehouse, horizon, verdict) -> None:
    with warehouse.begin() as connection:
        connection.execute(
            schema.promotions.insert().values(
                calendar="XNYS",
                timeframe="d1",
                horizon=horizon,
                as_of=close_of(-1),
                mode="judge",
                verdict=verdict,
                is_promoted=verdict == "not_worse",
                version_ids=[],
                deployed_version_ids=[],
                champion_version_ids=[],
                n_series=1,
                n_rows=1,
                n_bars=1,
                n_blocks=1,
                rule="",
                reason="",
            )
        )


def test_a_training_that_is_refused_is_told_until_one_is_taken(clean_market):
    promote(clean_market, "1d", "worse_than_champion")
    promote(clean_market, "5d", "below_climatology")
    promote(clean_market, "20d", "too_few_bars")
    (message,) = opened(clean_market, "retrain_refused")
    assert "1d (worse than champion), 5d (below climatology)" in message
    assert "20d" not in message
    promote(clean_market, "1d", "not_worse")
    promote(clean_market, "5d", "not_worse")
    assert opened(clean_market, "retrain_refused") == []


def test_an_audit_that_broke_the_build_is_told_by_its_name(clean):
    fail(
        clean,
        "build",
        "dbt build failed: 1 of 9 nodes: test is_empty_audit_bar_off_grid_: "
        "Got 2 results",
    )
    (message,) = opened(clean, "audit_finding")
    assert "found rows in audit_bar_off_grid:" in message
    fail(clean, "build", "dbt build failed: model bars: division by zero")
    assert opened(clean, "audit_finding") == []


EVIDENCE = """
    create schema if not exists monitoring;
    create table monitoring.drift_evidence (
        symbol_id integer,
        ticker text,
        timeframe text,
        horizon text,
        test text,
        evidence double precision,
        threshold double precision,
        is_alarm boolean,
        is_discovery boolean,
        alarm_since timestamptz,
        n_settled bigint
    );
    insert into raw.symbols (ticker, calendar, source)
    values ('AAA', 'XNYS', 'test');
    insert into monitoring.drift_evidence values
    (1, 'AAA', 'd1', '1d', 'hits', 900, 400, true, true, '2024-03-08', 50),
    (1, 'AAA', 'd1', '5d', 'skill', 500, 400, true, true, '2024-03-07', 48),
    (1, 'AAA', 'w1', '20d', 'skill', 500, 400, true, false, '2024-03-07', 9),
    (1, 'AAA', 'h1', '1d', 'skill', 12, 400, false, false, null, 60),
    (null, null, 'd1', '1d', 'hits', 401, 400, true, true, '2024-03-09', 70)
"""


def test_drift_is_told_once_a_series_and_a_timeframe(warehouse):
    """Of single series what e-BH keeps, which the week is not."""
    with warehouse.begin() as connection:
        connection.exec_driver_sql(EVIDENCE)
    assert sorted(opened(warehouse, "drift")) == [
        "Forecasts of AAA d1 fall short of what they promised since "
        "2024-03-07 00:00 UTC: evidence 900 against a threshold of 400 (hits "
        "of 1d, 50 outcomes, and 1 other test agree)",
        "Forecasts of all series d1 fall short of what they promised since "
        "2024-03-09 00:00 UTC: evidence 401 against a threshold of 400 (hits "
        "of 1d, 70 outcomes)",
    ]


def test_a_kind_that_cannot_be_asked_hides_no_other_and_ends_no_alert(
    warehouse,
):
    """In an empty warehouse there are no views yet."""
    fail(warehouse)
    summary = check_alerts(warehouse, channels=read_channels({}))
    assert summary.opened == 1
    assert {"data_stale", "no_forecast"} <= set(summary.unjudged)
    assert summary.unjudged["data_stale"].endswith("does not exist")
    assert "Nobody is told: set SWIFTBOLT_ALERT_URLS" in summary.to_text()


def test_the_commands_list_show_answer_and_test(clean, receiver, monkeypatch):
    monkeypatch.setattr(delivery, "WAITS_OF_A_RUN", (0.0,))
    fail(clean)

    def run(*arguments):
        return run_swiftbolt(clean, "alerts", *arguments, **urls(receiver))

    assert "No alert is open." in run("list").stdout
    assert json.loads(run("check", "--json").stdout)["delivered"] == 1
    listed = json.loads(run("list", "--json").stdout)
    by_subject = {row["subject"]: row["alert_id"] for row in listed}
    alert = str(by_subject["train"])
    shown = run("show", alert).stdout
    assert "advice: mend that" in shown
    assert "delivered" in shown
    taken = run("ack", alert, "--note", "mine", "--json")
    assert json.loads(taken.stdout) == {
        "state": "acknowledged",
        "alerts": [by_subject["train"]],
    }
    assert run("silence", alert, "--until", "3d").returncode == 0
    assert run("silence", alert, "--until", "2001-01-01").returncode == 2
    assert run("silence", alert, "--until", "soon").returncode == 2
    assert run("resolve", alert, "--reason", "known").returncode == 0
    again = run("ack", alert)
    assert again.returncode == 1
    assert "List what is: swiftbolt alerts list" in again.stderr
    assert run("test").returncode == 0
    assert receiver.messages[-1]["title"].startswith("SwiftBolt: test")
    receiver.faults, receiver.fault_stays = deque([500]), True
    failed = run("test")
    assert failed.returncode == 1
    assert "it answered 500" in failed.stdout
    nothing = run_swiftbolt(clean, "alerts", "test")
    assert nothing.returncode == 1
    assert "There is no channel to test" in nothing.stderr
