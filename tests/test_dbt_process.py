"""What is changed of dbt while it runs, and undone when it has ended."""

import ast
import concurrent.futures
import gc
import sys
import time

import jinja2.nativetypes
import pytest
from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.context.macros import MacroNamespace
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.clients.jinja import MacroFuzzEnvironment, get_template
from dbt_common.events import event_manager

from python_ml.exceptions import BuildError
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.dbt_process import (
    callers_found_at_once,
    macros_looked_up_at_once,
    parsing_in_turn,
    templates_compiled_once,
)
from tests.test_dbt import model, small

__all__ = ["small"]


@pytest.mark.skipif(
    sys.version_info >= (3, 11, 8), reason="this Python parses safely"
)
def test_no_two_threads_parse_literals_at_once(monkeypatch):
    parsing, most = [], []

    def parse(source, *_, **__):
        parsing.append(source)
        most.append(len(parsing))
        time.sleep(0.01)
        parsing.pop()
        return source

    monkeypatch.setattr(ast, "parse", parse)
    with (
        parsing_in_turn(),
        concurrent.futures.ThreadPoolExecutor(4) as threads,
    ):
        list(threads.map(jinja2.nativetypes.parse, "abcd"))
        list(threads.map(ast.parse, "abcd"))
    assert most == [1] * 8
    assert ast.parse is parse


def test_no_words_are_made_for_events_that_no_log_holds(
    small: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into_words = event_manager.msg_from_base_event
    levels = []

    def note(event, level=None):
        message = put_into_words(event, level=level)
        levels.append(message.info.level)
        return message

    monkeypatch.setattr(event_manager, "msg_from_base_event", note)
    run_dbt(small, ["run"])
    assert "info" in levels
    assert "debug" not in levels


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the nodes that dbt has logged in for, as they come."""
    names = []
    log_in = PostgresConnectionManager.__dict__["open"].__func__

    def note(cls, connection):
        names.append(connection.name)
        return log_in(cls, connection)

    monkeypatch.setattr(PostgresConnectionManager, "open", classmethod(note))
    return names


def test_nodes_use_the_connections_of_those_before(
    small: Warehouse, logins: list[str]
) -> None:
    for number in range(20):
        model(small, f"one_{number}").write_text("select 1 as n")
    assert run_dbt(small, ["run"]).n_nodes == 22
    # Four threads and the one that lists the schemas.
    assert 1 <= len(logins) <= 5
    run_dbt(small, ["run", "--select", "lower"])
    assert len(logins) <= 7, "a later run has connections of its own"


def test_nothing_of_a_node_stays_in_its_connection(small: Warehouse) -> None:
    """Settings and temporary tables of one node are unknown to the next."""
    marks = "set statement_timeout = 5000; create temporary table mark (n int)"
    model(small, "lower").write_text(
        "{{ config(materialized='table', pre_hook='" + marks + "') }} "
        "select current_setting('statement_timeout') as n"
    )
    model(small, "upper").write_text(
        "{{ config(materialized='table') }} "
        "select current_setting('statement_timeout') as n, "
        "to_regclass('pg_temp.mark') is not null as has_mark, "
        "lower.n as lower from {{ ref('lower') }} as lower"
    )
    run_dbt(small, ["run", "--threads", "1"])
    with small.begin() as connection:
        row = connection.exec_driver_sql("select * from features.upper").one()
    assert row.lower == "5s"
    assert row.n != "5s"
    assert not row.has_mark


def test_a_connection_that_broke_is_not_used_again(small: Warehouse) -> None:
    model(small, "broken").write_text(
        "{{ config(pre_hook='select pg_terminate_backend(pg_backend_pid())') }}"
        " select 1 as n"
    )
    with pytest.raises(BuildError, match=r"failed: 1 of 3 nodes: model broken"):
        run_dbt(small, ["run", "--threads", "1"])


def test_a_template_is_compiled_once_and_read_with_each_ones_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled = []
    generate = MacroFuzzEnvironment._generate

    def note(self, source, *arguments, **keywords):
        compiled.append(type(self))
        return generate(self, source, *arguments, **keywords)

    monkeypatch.setattr(MacroFuzzEnvironment, "_generate", note)
    words = "{{ n }} is the number of this very test"
    with templates_compiled_once():
        for n in (1, 2):
            text = get_template(words, {}).render({"n": n})
            assert text == f"{n} is the number of this very test"
            # Native templates give values, not text: not the same code.
            assert (
                get_template("{{ n }}", {}, native=True).render({"n": n}) == n
            )
            assert get_template("{{ n }}", {}).render({"n": n}) == str(n)
    assert len(compiled) <= 3
    get_template(words, {})
    assert len(compiled) <= 4
    get_template(words, {})
    assert len(compiled) <= 5, "outside dbt is as it was"


def test_macros_go_before_others_as_they_do_in_dbt() -> None:
    packages = {"other": {"theirs": 5}}
    namespace = MacroNamespace(
        global_namespace={"a": "root", "b": "root"},
        local_namespace={"a": "own", "other": "own"},
        global_project_namespace={"a": "dbt", "b": "dbt", "c": "dbt"},
        packages=packages,
    )
    before = {name: namespace[name] for name in namespace}
    assert before["a"] == "own"
    with macros_looked_up_at_once():
        assert dict(namespace) == before
        assert {**namespace} == before
        assert namespace.get("no_such_macro") is None
        assert namespace.get_from_package("other", "theirs") == 5
    assert dict(namespace) == before


def test_behaviour_flags_name_the_module_that_dbt_would() -> None:
    source = BehaviorFlagRendered._default_source
    before = source()
    with callers_found_at_once():
        assert BehaviorFlagRendered._default_source() == before == __name__
        assert BehaviorFlagRendered._default_source is not source
    assert BehaviorFlagRendered._default_source is source


def test_garbage_is_collected_as_before_once_dbt_has_ended(
    small: Warehouse,
) -> None:
    run_dbt(small, ["list"])
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
