"""A folder of one's own and what completes commands in a shell."""

import os
import subprocess

import pytest

from tests.conftest import clean_environment, run_command


def test_a_folder_holds_settings_a_day_and_a_schedule(tmp_path):
    folder = tmp_path / "my forecasts"
    ended = run_command(clean_environment(), "init", str(folder))
    assert ended.returncode == 0, ended.stderr
    assert {path.name for path in folder.iterdir()} == {
        "README.txt",
        "bars",
        "daily",
        "schedule.crontab",
        "swiftbolt.env",
    }
    assert os.access(folder / "daily", os.X_OK)
    for script in ("daily", "swiftbolt.env"):
        subprocess.run(["sh", "-n", str(folder / script)], check=True)
    told = subprocess.run(
        ["sh", "-c", '. "$0/swiftbolt.env" && echo "$SWIFTBOLT_HOME"', folder],
        env={"PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # Root's server cannot live in a folder that its user may not enter.
    assert told.strip() == str(folder / "home") or os.geteuid() == 0


def test_what_is_there_stays(tmp_path):
    run_command(clean_environment(), "init", str(tmp_path))
    (tmp_path / "daily").write_text("mine")
    ended = run_command(clean_environment(), "init", str(tmp_path))
    assert ended.returncode == 0
    assert "daily: is there, stays" in ended.stdout
    assert (tmp_path / "daily").read_text() == "mine"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(shell):
    ended = run_command(clean_environment(), "completion", shell)
    assert ended.returncode == 0
    assert "_SWIFTBOLT_COMPLETE" in ended.stdout
