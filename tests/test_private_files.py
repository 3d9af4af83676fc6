"""What is kept is for its owner's eyes, whatever the umask."""

import os
import stat

import click
import pytest
from click.testing import CliRunner

from python_ml.cli.root import ErrorReportingGroup
from python_ml.warehouse.embedded import EmbeddedServer
from tests.conftest import embedded_settings


@pytest.fixture
def careless():
    """A umask that hides nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_command_writes_for_its_owner_alone(careless, tmp_path):
    @click.group(cls=ErrorReportingGroup)
    def group():
        pass

    @group.command()
    def write():
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "file").touch()

    assert CliRunner().invoke(group, ["write"]).exit_code == 0
    modes = [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")]
    assert sorted(map(oct, modes)) == ["0o600", "0o700"]
    assert os.umask(0) == 0


def test_the_home_of_a_server_can_be_listed_by_its_owner_alone(
    careless, throwaway_home
):
    """Also one that was made wider before; root's server passes through."""
    home = throwaway_home()
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "postgres.log").touch()
    (home / "logs" / "postgres.log").chmod(0o666)
    server = EmbeddedServer(embedded_settings(home))
    server.start()
    try:
        passed_through = 0o011 if os.geteuid() == 0 else 0
        found = {
            path: stat.S_IMODE(path.stat().st_mode)
            for path in (home, *home.rglob("*"))
            if "binaries" not in str(path) and not path.is_socket()
        }
    finally:
        server.stop()
    assert {
        path: oct(mode)
        for path, mode in found.items()
        if mode & 0o077 & ~(passed_through if path.is_dir() else 0)
    } == {}
    assert found[home / "logs" / "postgres.log"] == 0o600
    assert found[home / "logs"] == 0o700
