import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

from python_ml.settings import PROJECT_ROOT

SCRIPT = """
import sys, time
from python_ml.console import progress
progress.DELAY_SECONDS = float(sys.argv[1])
from python_ml.console.logs import configure_logging, get_logger, log_event
configure_logging()
for n in progress.progress(range(3), total=3, description="counting"):
    time.sleep(0.15)
    log_event(get_logger("python_ml"), "counted", n=n)
"""


def shown_on_a_terminal(delay: float) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(delay)],
        cwd=PROJECT_ROOT,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:
            pass  # What Linux says at the end of a terminal.
        os.close(ours)
    assert process.returncode == 0
    return shown.decode()


def test_a_person_sees_a_bar_when_it_takes_long():
    shown = shown_on_a_terminal(delay=0.1)
    assert "counting" in shown
    assert "event=counted n=2" in shown


def test_a_person_sees_no_bar_when_it_is_quick():
    assert "counting" not in shown_on_a_terminal(delay=2.0)


def test_a_pipe_sees_no_bar():
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, "0"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "counting" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 3
