import json

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from python_ml.cli import main
from python_ml.exceptions import (
    JobRunningError,
    SettingsError,
    TrainingError,
    UnknownSeriesError,
)
from python_ml.training import requests as retrain_requests
from python_ml.training.requests import (
    request_retrain,
    serve_requests,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.jobs import job_run
from tests.conftest import warehouse_environment

pytestmark = pytest.mark.usefixtures("module_with_few_trees")


@pytest.fixture
def sample(sample_database, fresh_warehouse):
    with fresh_warehouse(template=sample_database) as made:
        yield made


def ask(warehouse, *symbols, timeframes=("d1",), reason="test"):
    return request_retrain(
        warehouse,
        symbols=list(symbols),
        timeframes=list(timeframes),
        reason=reason,
        requested_by="ann",
    )


def requests_of(warehouse):
    return read_frame(
        warehouse,
        "select requests.*, symbols.ticker "
        "from {ml}.retrain_requests as requests "
        "inner join {raw}.symbols as symbols "
        "on requests.symbol_id = symbols.symbol_id "
        "order by retrain_request_id",
    )


def count(warehouse, table):
    found = read_frame(warehouse, f"select count(*) as n from {{ml}}.{table}")
    return int(found["n"].iloc[0])


def execute(warehouse, statement):
    with warehouse.begin() as connection:
        connection.execute(sa.text(warehouse.sql(statement)))


def test_a_series_has_at_most_one_open_request(sample):
    assert ask(sample, "AAPL")["is_new"].tolist() == [True]
    assert ask(sample, "AAPL", "IBM")["is_new"].tolist() == [False, True]
    rows = requests_of(sample)
    assert rows["status"].tolist() == ["open", "open"]
    assert rows["reason"].tolist() == ["test", "test"]
    with pytest.raises(UnknownSeriesError, match="Unknown symbol APPL"):
        ask(sample, "APPL")
    with pytest.raises(SettingsError, match="reason is needed"):
        ask(sample, "AAPL", reason=" ")
    assert count(sample, "retrain_requests") == 2


def test_a_failed_series_stays_open_with_the_reason_until_it_is_served(sample):
    ask(sample, "AAPL", "IBM")
    execute(
        sample,
        "create table features.spoiled as select * from features.labels "
        "where ticker = 'IBM' and timeframe = 'd1' and horizon = '5d'",
    )
    execute(
        sample,
        "update {features}.labels set label = 'NEUTRAL' "
        "where ticker = 'IBM' and horizon = '5d' and label = 'BULLISH'",
    )
    summary = serve_requests(sample, n_jobs=1)
    assert (summary.count("served"), summary.count("open")) == (1, 1)
    assert "Open: IBM d1: IBM d1 5d has" in summary.to_text()
    rows = requests_of(sample).set_index("ticker")
    assert rows["status"].to_dict() == {"AAPL": "served", "IBM": "open"}
    assert "0 BULLISH" in rows.loc["IBM", "error_message"]
    [version] = read_frame(sample, "select version_id from {ml}.ensembles")[
        "version_id"
    ]
    assert rows.loc["AAPL", "served_version_id"] == version
    [trigger] = read_frame(
        sample, "select distinct trigger from {ml}.training_runs"
    )["trigger"]
    assert trigger == "request"

    with pytest.raises(TrainingError, match="None of 1 requests"):
        serve_requests(sample, n_jobs=1)
    assert requests_of(sample)["n_attempts"].tolist() == [1, 2]
    execute(
        sample,
        "update features.labels as labels set label = spoiled.label "
        "from features.spoiled as spoiled where "
        "(labels.symbol_id, labels.timeframe, labels.horizon, "
        "labels.bar_number) = (spoiled.symbol_id, spoiled.timeframe, "
        "spoiled.horizon, spoiled.bar_number)",
    )
    assert serve_requests(sample, n_jobs=1).count("served") == 1
    assert set(requests_of(sample)["status"]) == {"served"}
    assert serve_requests(sample).requests.empty
    assert count(sample, "ensembles") == 2
    # Once served it can be asked for again; nothing new is nothing to train.
    ask(sample, "IBM")
    assert serve_requests(sample, n_jobs=1).count("served") == 1
    assert count(sample, "ensembles") == 2


@pytest.mark.slow
def test_a_process_that_died_before_closing_closes_it_the_next_time(
    sample, monkeypatch
):
    ask(sample, "AAPL")

    def fail(*_):
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(retrain_requests, "_close", fail)
        with pytest.raises(RuntimeError, match="power"):
            serve_requests(sample, n_jobs=1)
    assert requests_of(sample)["status"].tolist() == ["open"]
    assert serve_requests(sample, n_jobs=1).count("served") == 1
    assert count(sample, "ensembles") == count(sample, "deployments") == 1


def test_a_training_in_progress_is_no_attempt(sample):
    ask(sample, "AAPL")
    with job_run(sample, "train", {}), pytest.raises(JobRunningError):
        serve_requests(sample)
    assert requests_of(sample)["n_attempts"].tolist() == [0]


def test_the_commands_file_and_refuse(sample, monkeypatch):
    for name, value in warehouse_environment(sample).items():
        monkeypatch.setenv(name, value)

    def run(*arguments):
        return CliRunner().invoke(main, list(arguments))

    asked = run(
        *("request-retrain", "--symbols", "AAPL", "--timeframes", "d1"),
        *("--reason", "drift", "--by", "ann", "--json"),
    )
    assert asked.exit_code == 0, asked.output
    assert json.loads(asked.stdout.splitlines()[-1]) == [
        {"ticker": "AAPL", "timeframe": "d1", "is_new": True}
    ]
    assert run("request-retrain", "--reason", "drift").exit_code == 2
    both = run("train", "--requested", "--symbols", "AAPL")
    assert both.exit_code == 2
    assert "leave out --symbols" in both.output
