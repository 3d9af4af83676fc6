"""Jobs of the chain of drift, started one by one and killed where told."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from python_ml.settings import PROJECT_ROOT, Settings
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import open_warehouse

if TYPE_CHECKING:
    from tests.alert_receiver import Receiver

JOB = PROJECT_ROOT / "scripts" / "drift_chain_job.py"
TAKEN = "a message is taken"
RUNNING = "is already running"
LOOK_SECONDS = 0.01


@dataclass
class Chain:
    """A warehouse, the market's next bars and who is told.

    Parameters
    ----------
    settings : Settings
    receiver : Receiver
    folder : Path
        Of the files of bars, one a session.
    kills : list of str
        Moments at which jobs are still to be killed, the next one first.
    missed : list of str
        Moments that never came.
    """

    settings: Settings
    receiver: "Receiver"
    folder: Path
    kills: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    n_killed: int = 0
    n_read: int = 0

    def work(self, job: str, day: pd.Timestamp) -> None:
        """Have a job done, by as many starts as it takes.

        Raises
        ------
        SystemExit
            If it fails.
        """
        while True:
            began = time.monotonic()
            moment, status, log = self._start(job, day)
            seconds = time.monotonic() - began
            if moment is not None:
                self.n_killed += 1
                shown = moment.replace("event=", "")
                print(f"    {job} killed after {seconds:.0f} s: {shown}")
            elif status == 0 and self.kills:
                self.missed.append(f"{job} never came to: {self.kills.pop(0)}")
            elif status == 0:
                break
            elif RUNNING in log:
                # The server notices a moment later that one was killed.
                time.sleep(0.5)
            else:
                print(*log.splitlines()[-8:], sep="\n", file=sys.stderr)
                raise SystemExit(f"{job} of {day:%Y-%m-%d} failed.")

    def _start(
        self, job: str, day: pd.Timestamp
    ) -> tuple[str | None, int, str]:
        """Start a job: at what it was killed, its status and its log."""
        is_to_be_taken = bool(self.kills) and self.kills[0] == TAKEN
        if is_to_be_taken:
            self.receiver.faults.append("take and hang")
        n_before = len(self.receiver.messages)
        moment = None
        with tempfile.NamedTemporaryFile("w") as log:
            process = subprocess.Popen(
                [sys.executable, JOB, job, f"{day:%Y-%m-%d}", self.folder],
                cwd=PROJECT_ROOT,
                env=os.environ
                | {
                    "SWIFTBOLT_HOME": str(self.settings.home),
                    "SWIFTBOLT_ALERT_URLS": f"json://{self.receiver.address}/",
                },
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            path = Path(log.name)
            while process.poll() is None:
                time.sleep(LOOK_SECONDS)
                if self.kills and (
                    len(self.receiver.messages) > n_before
                    if is_to_be_taken
                    else self.kills[0] in path.read_text()
                ):
                    process.kill()
                    moment = self.kills.pop(0)
                    process.wait()
            has_told = len(self.receiver.messages) > n_before
            if moment and has_told and self.kills[:1] == [TAKEN]:
                # It was faster than the signal: this run will send no other.
                self.kills.pop(0)
            self.receiver.faults.clear()
            return moment, process.returncode, path.read_text()

    def print_messages(self) -> None:
        """Print what was received since the last time."""
        for message in self.receiver.messages[self.n_read :]:
            print(f"    received: {message['title']}")
            for line in str(message["message"]).splitlines():
                print(f"      {line}")
        self.n_read = len(self.receiver.messages)

    def ask(self, query: str) -> pd.DataFrame:
        """Read from the warehouse."""
        with open_warehouse(self.settings) as warehouse:
            return read_frame(warehouse, query)
