"""A folder of one's own and what completes commands in a shell."""

import json
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


def test_machines_are_told_what_was_made_and_what_stayed(tmp_path):
    (tmp_path / "daily").write_text("mine")
    ended = run_command(clean_environment(), "init", str(tmp_path), "--json")
    told = json.loads(ended.stdout)
    assert told["stayed"] == [str(tmp_path / "daily")]
    assert told["made"] == [
        str(tmp_path / name)
        for name in ("swiftbolt.env", "schedule.crontab", "README.txt")
    ]
    assert (told["folder"], told["bars"]) == (
        str(tmp_path),
        str(tmp_path / "bars"),
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(shell):
    ended = run_command(clean_environment(), "completion", shell)
    assert ended.returncode == 0
    assert "_SWIFTBOLT_COMPLETE" in ended.stdout
    told = run_command(clean_environment(), "completion", shell, "--json")
    assert json.loads(told.stdout) == {
        "shell": shell,
        "script": ended.stdout.removesuffix("\n"),
    }
