"""Pages, tables and figures without a browser; the server and its guard."""

import datetime
import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any, cast

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import yaml
from starlette.testclient import TestClient

from python_ml.exceptions import SwiftBoltError
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse, connect
from python_ml.warehouse.jobs import job_run
from python_ml.warehouse.roles import ROLES, grant_on_built, grant_role
from python_ml.warehouse.snapshot import SnapshotReader
from python_ml.web.cells import csv_text, table_view
from python_ml.web.content import (
    Block,
    Choice,
    Column,
    Empty,
    Figure,
    Query,
    Section,
    Table,
)
from python_ml.web.figures.drift import evidence_figure, features_figure
from python_ml.web.figures.price import LEVELS, price_figure
from python_ml.web.kept import Kept, KeptAnswers, KeptReader, State
from python_ml.web.pages import PAGES, drift, ensembles, sql
from python_ml.web.queries.data import AUDITS
from python_ml.web.report import render_report, write_report
from python_ml.web.server import make_app
from python_ml.web.statistics import skill_by_period
from python_ml.web.warming import Warmer
from tests.conftest import run_swiftbolt
from tests.web_market import HOSTILE, NOW

TOKEN = "correct horse battery"
DATA_BLOCK = re.compile(
    r'<script type="application/json"[^>]*>(.*?)</script>', re.DOTALL
)
# What is loaded or opened; `xmlns` and the like are names, not addresses.
ELSEWHERE = re.compile(r"(?:src|href|action|url)\s*[=(]\s*[\"']?(?:https?:)?//")


@pytest.fixture(scope="module")
def market(
    fresh_warehouse: Callable[..., Warehouse], pages_database: str
) -> Warehouse:
    return fresh_warehouse(template=pages_database)


@pytest.fixture(scope="module")
def reader(market: Warehouse) -> Iterator[TestClient]:
    app = make_app(market, hosts=["testserver"], clock=lambda: NOW)
    with TestClient(app, raise_server_exceptions=True) as client:
        yield client


@pytest.fixture(scope="module")
def bodies(reader: TestClient) -> dict[str, str]:
    return {
        page.key: reader.get(
            f"/{page.key}", params={"symbol": HOSTILE} if page.choices else {}
        ).text
        for page in PAGES
    }


def test_no_section_of_any_page_fails(bodies):
    failures = {
        key: re.findall(r"others stand: ([^<]*)", body)
        for key, body in bodies.items()
    }
    assert failures == {page.key: [] for page in PAGES}


def test_names_that_are_markup_are_shown_and_not_run(bodies):
    for body in bodies.values():
        assert "<img src=x" not in body
        assert "<script>alert" not in body
    assert "&lt;img src=x onerror" in bodies["forecasts"]
    assert "&lt;/script&gt;&lt;script&gt;alert(2)" in bodies["ensembles"]
    for body in bodies.values():
        for block in DATA_BLOCK.findall(body):
            json.loads(block)


def test_every_figure_is_one_that_plotly_knows(bodies):
    figures = [
        json.loads(block)
        for body in bodies.values()
        for block in DATA_BLOCK.findall(body)
    ]
    assert len(figures) >= 9
    for figure in figures:
        plain = _without_colour_names(figure)
        go.Figure(data=plain["data"], layout=plain["layout"])


def _without_colour_names(value: Any) -> Any:
    if isinstance(value, str):
        return "Arial" if value == "@font" else re.sub("^@.*", "red", value)
    if isinstance(value, list):
        return [_without_colour_names(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_colour_names(item) for key, item in value.items()}
    return value


def test_figures_of_evidence_are_ones_that_plotly_knows():
    evidence = evidence_figure(
        pd.DataFrame(
            {
                "name": ["1d, hits", "5d, skill"],
                "evidence": [0.0, 30.0],
                "threshold": [20.0, 20.0],
                "is_alarm": [None, True],
            }
        )
    )
    features = features_figure(
        pd.DataFrame(
            {
                "name": ["rsi 14"],
                "stability_index": [0.3],
                "stability_index_by_chance": [np.nan],
            }
        )
    )
    for figure in (evidence, features):
        json.dumps(figure.data, allow_nan=False)
        go.Figure(
            _without_colour_names(figure.data),
            _without_colour_names(figure.layout),
        )
    # Nothing is at 0 on a log axis, and alarms have a mark of their own.
    assert min(evidence.data[1]["x"]) > 0
    assert evidence.data[1]["marker"]["symbol"] == ["circle", "x"]


def test_features_without_rows_to_compare_with_are_not_said_to_stand_still():
    (section,) = (
        found
        for found in drift.PAGE.sections(Choice("A", "d1", "1d", "XNYS", NOW))
        if found.key == "features"
    )
    frame = pd.DataFrame(
        {
            "feature": ["rsi_14"],
            "stability_index": [0.0],
            "stability_index_by_chance": [np.nan],
            "n_reference": [0],
        }
    )
    choice = Choice("A", "d1", "1d", "XNYS", NOW)
    assert isinstance(section.build({"features": frame}, choice), Empty)
    moved = section.build({"features": frame.assign(n_reference=9)}, choice)
    assert not isinstance(moved, Empty)


def test_a_standard_error_has_the_digits_of_its_skill():
    frame = pd.DataFrame({"se": [0.00347], "skill": [-0.00604]})
    columns = {"se": Column("", "error"), "skill": Column("", "skill")}
    [(error, skill)] = table_view(Table(frame, columns, ""), calendar=None).rows
    assert error.text == "0.35%"
    assert skill.text == "-0.60%"


def test_every_colour_of_a_figure_is_in_the_style_sheet(bodies):
    sheet = (PROJECT_ROOT / "python_ml/web/static/style.css").read_text()
    named = {
        name
        for body in bodies.values()
        for block in DATA_BLOCK.findall(body)
        for name in re.findall(r'"@([\w-]+)"', block)
    }
    assert len(named) > 10
    assert {name for name in named if f"--{name}:" not in sheet} == {"clear"}


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_what_is_written_can_be_read_in_light_and_dark():
    """Contrast of each colour of text on each ground it stands on, AA."""
    sheet = (PROJECT_ROOT / "python_ml/web/static/style.css").read_text()
    themes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r"color-scheme: (?:light|dark);[^}]*", sheet)
    ]
    assert len(themes) == 3
    # By the system's wish and by the button it is the same dark.
    assert themes[1] == themes[2] != themes[0]
    pairs = [
        (ink, ground)
        for ink in ("ink", "muted", "accent", "good", "bad")
        for ground in ("surface", "page")
    ] + [
        ("accent", "accent-soft"),
        ("ink", "warn-soft"),
        *((tone, f"{tone}-soft") for tone in ("good", "warn", "bad")),
    ]
    # Bands are opaque, so that the legend has the colours that are seen.
    bands = {f"{name}-{n}" for name in ("band", "issued") for n in LEVELS}
    for theme in themes:
        assert bands <= theme.keys()
        for ink, ground in pairs:
            low, high = sorted(luminance(theme[name]) for name in (ink, ground))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)


def test_nothing_is_asked_of_elsewhere(bodies, market, tmp_path):
    for body in bodies.values():
        assert ELSEWHERE.search(body) is None
        assert not re.search(r"<script(?![^>]*(src|json))", body)
        assert " style=" not in body
        assert " onclick=" not in body
    path = tmp_path / "report.html"
    summary = write_report(market, path, symbols=["BBB"], now=NOW)
    text = path.read_text()
    own = text.replace(_plotly(), "")
    assert ELSEWHERE.search(own) is None
    assert "<img src=x" not in own
    assert summary.symbols == ("BBB",)
    assert summary.n_left_out == 1


def _plotly() -> str:
    from python_ml.web.render import plotly_script

    return plotly_script()


def test_the_policy_and_its_company_are_on_every_answer(reader):
    for path in ("/", "/nowhere", "/static/style.css", "/csv/data/health/1"):
        headers = reader.get(path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'self';"
        )
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_a_page_is_read_in_a_transaction_that_cannot_write(market):
    attempts = (
        "with gone as (delete from {ml}.forecasts returning 1) "
        "select count(*) as n from gone",
        "select nextval('ml.job_runs_job_run_id_seq') as n",
        "select lo_create(0) as n",
    )
    before = read_frame(market, "select count(*) as n from {ml}.forecasts")
    for attempt in attempts:
        with (
            SnapshotReader(market) as snapshot,
            pytest.raises(Exception, match="read-only transaction"),
        ):
            snapshot.read(attempt)
    after = read_frame(market, "select count(*) as n from {ml}.forecasts")
    assert before["n"].tolist() == after["n"].tolist() != [0]


def test_only_reading_is_answered(reader):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert reader.request(method, "/").status_code == 405


def test_queries_of_a_page_see_one_moment(market):
    with SnapshotReader(market) as snapshot:
        first = snapshot.read("select now() as at")["at"].iloc[0]
        assert snapshot.read("select now() as at")["at"].iloc[0] == first


def test_a_statement_that_takes_too_long_is_ended_and_the_next_is_read(market):
    with SnapshotReader(market, seconds=0.1) as snapshot:
        with pytest.raises(Exception, match="statement timeout"):
            snapshot.read("select pg_sleep(5) as slept")
        assert snapshot.read("select 1 as n")["n"].tolist() == [1]


def test_a_table_is_there_as_csv_with_all_its_columns(reader, market):
    answer = reader.get(
        "/csv/forecasts/price/1", params={"symbol": "BBB", "horizon": "5d"}
    )
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.splitlines()
    assert lines[0].startswith("closed_at,target_at,")
    known = read_frame(
        market,
        "select count(*) as n from {forecasting}.ledger "
        "where ticker = 'BBB' and timeframe = 'd1' and horizon = '5d'",
    )
    assert len(lines) - 1 == known["n"].iloc[0]
    assert reader.get("/csv/forecasts/price/9").status_code == 404
    assert reader.get("/csv/forecasts/nothing/1").status_code == 404


def test_every_table_of_every_page_has_its_csv(bodies, reader):
    links = {
        link.replace("&amp;", "&")
        for body in bodies.values()
        for link in re.findall(r'href="(/csv/[^"]*)"', body)
    }
    assert len(links) >= 20
    for link in links:
        assert reader.get(link).status_code == 200, link


def test_text_that_a_spreadsheet_would_run_is_quoted():
    frame = pd.DataFrame(
        {"ticker": ["=cmd()", "@x", "AAPL"], "move": [-1.5, 2.0, np.nan]}
    )
    assert csv_text(Table(frame, {}, "")).splitlines() == [
        "ticker,move",
        "'=cmd(),-1.5",
        "'@x,2.0",
        "AAPL,",
    ]


def test_what_is_not_there_is_said_with_what_is(reader):
    answer = reader.get("/forecasts", params={"symbol": "<b>ZZZ"})
    assert answer.status_code == 404
    assert "There is no symbol" in answer.text
    assert "BBB" in answer.text
    assert "<b>ZZZ" not in answer.text
    assert reader.get("/nowhere").status_code == 404
    assert reader.get("/forecasts?symbol=bbb").status_code == 200


def test_an_empty_warehouse_names_the_commands(module_warehouse):
    app = make_app(module_warehouse, hosts=["testserver"])
    with TestClient(app) as client:
        for page in PAGES:
            answer = client.get(f"/{page.key}")
            assert answer.status_code == 200
            assert "others stand" not in answer.text
            assert "Fill it with" in answer.text, page.key


def test_pages_begin_with_what_is_forecast_and_fold_what_is_long(
    fresh_warehouse, pages_database
):
    warehouse = fresh_warehouse(template=pages_database)
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            "insert into raw.symbols (ticker, calendar, listed_from, source) "
            "values ('!', 'XNYS', '2020-01-02', 'test')"
        )
    reason = "No file of bars can be read, and this is why. " * 10
    with pytest.raises(SwiftBoltError), job_run(warehouse, "ingest", {}):
        raise SwiftBoltError(reason)
    app = make_app(warehouse, hosts=["testserver"], clock=lambda: NOW)
    with TestClient(app) as client:
        drift_page = client.get("/drift").text
        overview = client.get("/overview").text
    assert re.findall(r'<option value="([^"]*)"', drift_page)[0] == "!"
    assert "Drift <span>!</span>" not in drift_page
    assert f"<details><summary>{reason[:160]}" in overview


def priced(bars: pd.DataFrame, issued: pd.DataFrame) -> Figure:
    """The figure of bars at 10, with what was issued and nothing ahead."""
    bars = bars.assign(
        bar_number=range(len(bars)),
        basis=1.0,
        **dict.fromkeys(("open", "high", "low", "close"), 10.0),
    )
    return price_figure(
        bars,
        issued,
        issued.iloc[:0],
        symbol="AAA",
        timeframe="m15",
        horizon="1h",
        currency=None,
    )


NOT_ISSUED = pd.DataFrame(
    columns=[
        *("basis", "target_bar_number", "price_target"),
        *(f"{side}_{n}" for side in ("lower", "upper") for n in LEVELS),
        *("is_inside_80", "direction", "outcome"),
    ],
    dtype=float,
)


def test_closes_within_days_are_told_apart_below_the_prices():
    def ticks(frequency: str) -> list[str]:
        closed_at = pd.date_range(
            "2024-07-01 14:00", periods=40, freq=frequency, tz="UTC"
        )
        figure = priced(pd.DataFrame({"closed_at": closed_at}), NOT_ISSUED)
        return cast(list[str], figure.layout["xaxis"]["ticktext"])

    # The first one stands off the edge, where its label has no room.
    assert ticks("15min")[:2] == ["07-01 15:00", "07-01 16:45"]
    assert ticks("D")[:2] == ["2024-07-05", "2024-07-12"]


def test_prices_stand_above_the_bands_and_closes_above_the_prices():
    closed_at = pd.date_range("2024-07-01", periods=40, tz="UTC")
    issued = pd.DataFrame(
        {
            "basis": 1.0,
            "target_bar_number": [20, 21],
            "price_target": 10.0,
            "is_inside_80": [True, False],
            "direction": "NEUTRAL",
            "outcome": "NEUTRAL",
        }
        | {f"lower_{level}": 10.0 - level / 50 for level in LEVELS}
        | {f"upper_{level}": 10.0 + level / 50 for level in LEVELS}
    )
    places: dict[str, set[int]] = {}
    for trace in priced(pd.DataFrame({"closed_at": closed_at}), issued).data:
        kind = trace.get("mode", trace["type"])
        places.setdefault(kind, set()).add(trace.get("zorder", 0))
    assert places == {"lines": {0}, "candlestick": {1}, "markers": {2}}


def test_horizons_of_one_reason_share_a_sentence():
    newest = pd.DataFrame(
        {
            "horizon": ["1d", "5d", "20d"],
            "is_promoted": [True, False, True],
            "reason": ["nothing is live", "it is no better", "nothing is live"],
        }
    )
    assert list(ensembles.verdicts(newest)) == [
        "1d, 20d: promoted. Nothing is live.",
        "5d: not promoted. It is no better.",
    ]


def test_a_failed_section_says_so_and_the_others_stand(market, monkeypatch):
    from python_ml.web.pages import overview

    def fails(frames: Any, choice: Choice) -> Any:
        raise SwiftBoltError(f"Broken by {HOSTILE}.")

    whole = overview.PAGE.sections

    def sections(choice: Choice) -> tuple[Section, ...]:
        return (
            Section("own", "Own fault", {}, fails),
            Section(
                "base",
                "Fault of the query",
                {"none": Query("select 1 / 0 as n")},
                lambda frames, choice: (Block(notes=("Not reached.",)),),
            ),
            *whole(choice),
        )

    page = type(overview.PAGE)("", "Overview", "", (), sections)
    monkeypatch.setitem(make_app.__globals__["BY_KEY"], "", page)
    with TestClient(make_app(market, hosts=["testserver"])) as client:
        text = client.get("/").text
    assert text.count("This section failed, the others stand") == 2
    assert "division by zero" in text
    assert "&lt;img src=x" in text
    assert "Costs of jobs" in text


def test_who_does_not_know_the_token_reads_nothing(market):
    app = make_app(market, token=TOKEN, hosts=["*"])
    with TestClient(app, base_url="http://page.example") as client:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Cookie": "swiftbolt_token=wrong"},
        ):
            answer = client.get("/static/style.css", headers=headers)
            assert answer.status_code == 401
            assert TOKEN not in answer.text
        assert client.get("/?token=wrong").status_code == 401
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/data", headers=bearer).status_code == 200


def test_a_token_in_the_address_becomes_a_cookie_and_leaves_it(market):
    app = make_app(market, token=TOKEN, hosts=["*"])
    with TestClient(app, base_url="http://page.example") as client:
        answer = client.get(
            "/drift",
            params={"token": TOKEN, "symbol": "BBB"},
            follow_redirects=False,
        )
        assert answer.status_code == 303
        assert answer.headers["location"] == "/drift?symbol=BBB"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert client.get("/drift?symbol=BBB").status_code == 200
        away = client.get(
            "//elsewhere.example/x",
            params={"token": TOKEN},
            follow_redirects=False,
        )
        assert not away.headers.get("location", "/").startswith("//")


def test_another_host_name_is_refused(market):
    with TestClient(make_app(market), base_url="http://evil.example") as client:
        assert client.get("/").status_code == 400


def test_an_address_that_others_reach_needs_a_token(market):
    ended = run_swiftbolt(market, "dashboard", "--host", "0.0.0.0")
    assert ended.returncode == 2
    assert "--token" in ended.stderr
    ended = run_swiftbolt(
        market, "dashboard", "--host", "0.0.0.0", "--token", "short"
    )
    assert ended.returncode == 2


def test_a_port_that_is_taken_is_named_with_the_option(market):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run_swiftbolt(market, "dashboard", "--port", port)
    assert ended.returncode == 1
    assert f"port {port}" in ended.stderr
    assert "--port" in ended.stderr
    assert ended.stdout == ""


def test_what_is_kept_is_of_one_state_and_fits():
    kept: Kept[str] = Kept(max_bytes=10)
    first, second = State("1"), State("2")
    kept.put("a", first, "old", n_bytes=6)
    assert kept.get("a", first) == "old"
    assert kept.get("a", second) is None
    kept.put("b", first, "new", n_bytes=6)
    assert kept.get("a", first) is None
    assert kept.get("b", first) == "new"
    kept.put("b", first, "gone", n_bytes=1, seconds=-1)
    assert kept.get("b", first) is None


class Counting:
    """A snapshot that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def read(self, query: str, parameters: Any = None) -> pd.DataFrame:
        self.asked.append((query, dict(parameters)))
        if "fails" in query:
            raise SwiftBoltError("It fails.")
        return pd.DataFrame({"n": [len(self.asked)]})


def test_an_answer_is_shared_by_all_who_name_the_same_values():
    snapshot, answers = Counting(), KeptAnswers(lambda: NOW)
    query = Query("select :horizon, cast(1 as text), x::text")

    def read(state: State, **values: Any) -> int:
        reader = KeptReader(cast("Any", snapshot), answers, state)
        return int(reader.read(query, values)["n"].iloc[0])

    assert read(State("1"), horizon="5d", symbol="AAA") == 1
    assert read(State("1"), horizon="5d", symbol="BBB") == 1
    assert read(State("1"), horizon="1d", symbol="AAA") == 2
    assert read(State("2"), horizon="5d", symbol="AAA") == 3
    assert [values for _, values in snapshot.asked] == [
        {"horizon": "5d"},
        {"horizon": "1d"},
        {"horizon": "5d"},
    ]


@pytest.mark.parametrize(
    ("is_lasting", "is_changing", "n_asked"),
    [(True, False, 1), (True, True, 2), (False, False, 2)],
)
def test_only_what_jobs_alone_change_is_kept_longer_and_never_while_one_runs(
    monkeypatch, is_lasting, is_changing, n_asked
):
    time = [0.0]
    monkeypatch.setattr("python_ml.web.kept.time.monotonic", lambda: time[0])
    snapshot, answers = Counting(), KeptAnswers(lambda: NOW)
    query = Query("select 1", is_changed_by_jobs_alone=is_lasting)
    state = State("1", is_changing=is_changing)
    for time[0] in (0.0, 50.0, 100.0):
        KeptReader(cast("Any", snapshot), answers, state).read(query)
    assert len(snapshot.asked) == n_asked
    time[0] = 4000.0
    KeptReader(cast("Any", snapshot), answers, state).read(query)
    assert len(snapshot.asked) == n_asked + 1


def test_of_many_who_ask_at_once_one_asks_the_warehouse():
    snapshot, answers = Counting(), KeptAnswers(lambda: NOW)
    arrived = Barrier(8)

    def ask(_: int) -> int:
        arrived.wait(30)
        reader = KeptReader(cast("Any", snapshot), answers, State("1"))
        return int(reader.read(Query("select 1"))["n"].iloc[0])

    with ThreadPoolExecutor(8) as readers:
        assert set(readers.map(ask, range(8))) == {1}


def test_a_query_that_fails_is_not_kept():
    snapshot, answers = Counting(), KeptAnswers(lambda: NOW)
    reader = KeptReader(cast("Any", snapshot), answers, State("1"))
    for _ in range(2):
        with pytest.raises(SwiftBoltError, match="It fails"):
            reader.read(Query("fails"))
    assert len(snapshot.asked) == 2


def test_the_oldest_answer_says_of_when_a_page_is():
    times = iter((NOW, NOW - datetime.timedelta(minutes=9), NOW))
    answers = KeptAnswers(lambda: next(times))
    reader = KeptReader(cast("Any", Counting()), answers, State("1"))
    for text in ("a", "b", "c", "a"):
        reader.read(Query(text))
    assert reader.oldest_at == NOW - datetime.timedelta(minutes=9)


def test_pages_are_made_when_a_job_has_ended_and_not_while_it_runs():
    states = [
        (State("1"), True),
        (State("1"), False),
        (State("2", is_changing=True), False),
        (State("3"), True),
    ]
    made: list[State] = []
    current = State("1")
    warmer = Warmer(lambda: current, lambda: made.append(current))
    for current, is_made in states:
        assert warmer.look() is is_made, current
    assert made == [State("1"), State("3")]


def test_a_page_tells_a_job_s_end_at_once(market):
    with TestClient(
        make_app(market, hosts=["testserver"], clock=lambda: NOW)
    ) as client:
        before = client.get("/").text
        with market.begin() as connection:
            connection.exec_driver_sql(
                "insert into ml.job_runs (job, arguments, status, started_at, "
                "finished_at, duration_seconds, host, pid, code_version) "
                "values ('told at once', '{}', 'succeeded', now(), "
                "clock_timestamp(), 0, 'here', 1, 'test')"
            )
        after = client.get("/").text
    assert "told at once" not in before
    assert "told at once" in after


def test_the_report_command_writes_the_file_and_says_where(market, tmp_path):
    path = tmp_path / "own" / "report.html"
    ended = run_swiftbolt(market, "report", "--output", str(path), "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["path"] == str(path)
    assert told["bytes"] == path.stat().st_size < 6_000_000
    assert told["failed_sections"] == []
    ended = run_swiftbolt(market, "report", "--symbols", "NONE")
    assert ended.returncode == 1
    assert "There is no symbol 'NONE'" in ended.stderr


def test_a_report_of_nothing_is_a_file_too(module_warehouse, tmp_path):
    path = tmp_path / "empty.html"
    summary = write_report(module_warehouse, path, now=NOW)
    assert summary.symbols == ()
    assert summary.failed == ()


def test_scripts_of_the_report_are_named_by_their_digests():
    text = render_report([], (), NOW)
    policy = re.search(r'Policy" content="([^"]*)"', text)
    assert policy is not None
    assert "unsafe-eval" not in policy[1]
    assert policy[1].count("sha256-") == text.count("<script>") == 3


def test_every_question_of_the_document_has_an_address(reader):
    assert len(sql.questions()) == 22
    for question in sql.questions():
        answer = reader.get(
            "/sql", params={"question": question.number, "symbol": "BBB"}
        )
        assert answer.status_code == 200
        assert "others stand" not in answer.text, question.text
        assert "AAPL" not in answer.text


def test_a_name_with_a_quote_is_quoted_in_the_query_to_copy():
    question = sql.Question(1, "?", "select 1 where ticker = 'AAPL';")
    assert question.shown("O'X") == "select 1 where ticker = 'O''X';"
    assert question.asked().text == "select 1 where ticker = :symbol"


def test_skill_by_period_is_that_of_its_sums():
    closes = pd.date_range("2024-01-01", periods=80, freq="D", tz="UTC")
    losses = np.tile([0.9, 1.1], 40)
    scores = pd.DataFrame(
        {
            "closed_at": closes,
            "horizon_bars": 1,
            "n": 1,
            "log_loss": losses,
            "climatology_log_loss": 2.0,
        }
    )
    periods = skill_by_period(scores)
    assert periods["period"].tolist() == ["2024-01", "2024-02", "2024-03"]
    assert periods["n"].tolist() == [31, 29, 20]
    assert periods["skill"].iloc[1] == pytest.approx(
        1 - losses[31:60].mean() / 2.0
    )
    # Six blocks of five closes lie in January, the last one in part.
    assert periods["n_blocks"].iloc[0] == 7


def test_the_clock_is_asked_in_utc(reader):
    assert f"Read at {NOW:%Y-%m-%d %H:%M} UTC (08:00 EDT)" in (
        reader.get("/forecasts").text
    )
    assert NOW.tzinfo is datetime.UTC


def test_the_exposure_of_each_page_names_what_its_queries_read():
    folder = PROJECT_ROOT / "dbt_project" / "models"
    exposures = yaml.safe_load((folder / "_exposures.yml").read_text())
    listed = {
        found["name"]: set(
            re.findall(r"'(\w+)'", " ".join(found["depends_on"]))
        )
        for found in exposures["exposures"]
    }
    models = {path.stem for path in folder.rglob("*.sql")}
    reported = set()
    for page in PAGES:
        read = {
            name
            for question in range(1, len(sql.questions()) + 1)
            for section in page.sections(
                Choice(
                    *("A", "d1", "1d", "XNYS", NOW),
                    question=question,
                    is_audited=True,
                )
            )
            for query in section.queries.values()
            for _, name in query.relations
        } & models
        key = (page.key or "overview").replace("-", "_")
        assert listed[f"{key}_page"] == read, page.title
        reported |= set() if page is sql.PAGE else read
    assert listed["report"] == reported


@pytest.fixture(scope="module")
def logins(market: Warehouse) -> dict[str, Warehouse]:
    """The same warehouse as each role reads it, with a login of its own."""
    found = {}
    for role in ROLES:
        name = f"page_{role}"
        with market.begin() as connection:
            connection.exec_driver_sql(f"drop role if exists {name}")
            connection.exec_driver_sql(
                f"create role {name} login password 'secret'"
            )
        grant_role(market, role, name)
        grant_on_built(market)
        found[role] = connect(
            market.settings,
            replace(market.parameters, user=name, password="secret"),
        )
    return found


@pytest.mark.parametrize("role", ROLES)
def test_pages_of_every_role_stand_and_cannot_write(logins, role):
    login = logins[role]
    app = make_app(login, hosts=["testserver"], clock=lambda: NOW)
    with TestClient(app) as client:
        for page in PAGES:
            answer = client.get(f"/{page.key}")
            assert answer.status_code == 200
            assert "others stand" not in answer.text, page.title
            if role == "analyst" and page.key in ("", "forecasts", "drift"):
                assert "BBB" in answer.text
                assert 'data-plot="' in answer.text or not page.key
    for attempt in (
        "with gone as (delete from {ml}.forecasts returning 1) "
        "select count(*) as n from gone",
        "with more as (insert into {ml}.job_runs default values returning 1) "
        "select count(*) as n from more",
    ):
        with (
            SnapshotReader(login) as snapshot,
            pytest.raises(Exception, match=r"read-only|permission denied"),
        ):
            snapshot.read(attempt)


def test_audits_are_asked_on_demand(reader, bodies):
    (address,) = re.findall(
        r'href="(/data[^"]*audits=now)">Look at all', bodies["data"]
    )
    text = reader.get(address.replace("&amp;", "&")).text
    assert "others stand" not in text
    assert "find nothing" in text
    assert "label crosses cut" in text


def test_the_audits_shown_are_all_there_are():
    folder = PROJECT_ROOT / "dbt_project" / "models" / "leakage_audit"
    names = {path.stem for path in folder.glob("audit_*.sql")}
    assert {f"audit_{name}" for name in AUDITS} == names
