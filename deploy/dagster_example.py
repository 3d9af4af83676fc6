"""The jobs of the schedule as Dagster knows them; each calls the command.

Run it with `dagster dev -f deploy/dagster_example.py` where Dagster is
installed. Dagster keeps the runs and shows their logs; whether a job is due,
its lock, its record and its alerts stay the command's own.
"""

import subprocess
from pathlib import Path

import dagster

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
# Job, when, and the time zone of that; see deploy/systemd for the same times.
SCHEDULES = {
    "daily_run": "30 17 * * 1-5",
    "weekly_weights": "0 9 * * 6",
    "monthly_retrain": "0 10 1 * *",
    "emergency_retrain": "20 * * * *",
}
TIME_ZONE = "America/New_York"


def _job(name: str) -> dagster.JobDefinition:
    @dagster.op(name=f"run_{name}")
    def run(context: dagster.OpExecutionContext) -> None:
        ended = subprocess.run(
            [str(SCRIPTS / name)], capture_output=True, text=True
        )
        context.log.info(ended.stdout + ended.stderr)
        if ended.returncode:
            raise dagster.Failure(
                description=ended.stderr.strip().rpartition("\n")[2],
                allow_retries=False,
            )

    @dagster.job(name=name, tags={"dagster/concurrency_key": "swiftbolt"})
    def job() -> None:
        run()

    return job


jobs = {name: _job(name) for name in SCHEDULES}

definitions = dagster.Definitions(
    jobs=list(jobs.values()),
    schedules=[
        dagster.ScheduleDefinition(
            job=jobs[name], cron_schedule=cron, execution_timezone=TIME_ZONE
        )
        for name, cron in SCHEDULES.items()
    ],
)
