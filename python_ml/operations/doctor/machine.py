"""Checks that need no database: server, migrations, disk, channels."""

import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path

from python_ml.monitoring.alerts.channels import (
    SLACK_VARIABLE,
    URLS_VARIABLE,
    known_to_apprise,
    read_channels,
)
from python_ml.operations.doctor.finding import NOTICE, PROBLEM, Finding
from python_ml.settings import Settings
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import (
    Warehouse,
    alembic_config,
    database_status,
)

# A training of many series writes a few hundred megabytes, a build as many.
LEAST_FREE_BYTES = 2_000_000_000
LEAST_FREE_SHARE = 0.05

DELIVERIES_QUERY = """
    select
        deliveries.channel,
        count(*) filter (
            where deliveries.status = 'pending' and deliveries.n_attempts > 0
        ) as n_waiting,
        count(*) filter (
            where deliveries.status in ('given_up', 'in_doubt')
        ) as n_lost,
        max(attempts.reason) as reason
    from {ml}.alert_deliveries as deliveries
    inner join {ml}.alert_messages as messages
        on deliveries.message_id = messages.message_id
    left join {ml}.alert_attempts as attempts
        on
            deliveries.delivery_id = attempts.delivery_id
            and attempts.outcome <> 'delivered'
    where messages.created_at > :since
    group by deliveries.channel
    order by deliveries.channel
"""


def check_server(settings: Settings) -> Iterator[Finding]:
    """Whether the database can be used; it is not started."""
    status = database_status(settings)
    if not status["can_log_in"]:
        reason = status.get("reason") or "it does not run"
        yield Finding(
            "server",
            PROBLEM,
            f"The database cannot be used: {reason}".rstrip("."),
            "swiftbolt db start"
            if settings.target == "embedded"
            else "start that server, or mend PGHOST, PGUSER and PGPASSWORD",
        )


def check_migrations(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether the schemas are those of this code."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with warehouse.begin() as connection:
        scripts = ScriptDirectory.from_config(
            alembic_config(warehouse, connection)
        )
        schema = warehouse.settings.schema("ml")
        found = MigrationContext.configure(
            connection, opts={"version_table_schema": schema}
        ).get_current_revision()
    head = scripts.get_current_head()
    if found == head:
        return
    known = {script.revision for script in scripts.walk_revisions()}
    is_newer = found is not None and found not in known
    yield Finding(
        "migrations",
        PROBLEM,
        f"The schemas are at migration {found or 'none'}, this code at {head}",
        "update the checkout: git pull"
        if is_newer
        else "swiftbolt db start, which migrates",
    )


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Whether there is room where things are kept."""
    folder: Path = settings.home
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    if usage.free < max(
        LEAST_FREE_BYTES, min(LEAST_FREE_SHARE * usage.total, 20e9)
    ):
        yield Finding(
            "disk",
            PROBLEM,
            f"{usage.free / 1e9:.1f} GB of {usage.total / 1e9:.0f} are free "
            f"where {settings.home} is",
            "make room: swiftbolt models prune --all --yes, then what is old "
            "in its logs",
        )


def check_channels(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether somebody is told of alerts."""
    channels = known_to_apprise(read_channels())
    for problem in channels.problems:
        yield Finding(
            "channels",
            PROBLEM,
            problem.rstrip("."),
            "mend it, then: swiftbolt alerts test",
        )
    if not channels.usable and not channels.problems:
        yield Finding(
            "channels",
            NOTICE,
            "Nobody is told of alerts",
            f"set {URLS_VARIABLE} or {SLACK_VARIABLE}, then: swiftbolt alerts "
            "test",
        )
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=7)
    for row in read_frame(
        warehouse, DELIVERIES_QUERY, {"since": since}
    ).to_dict("records"):
        if row["n_waiting"]:
            yield Finding(
                "channels",
                PROBLEM,
                f"{row['n_waiting']} messages wait for {row['channel']}: "
                f"{row['reason']}",
                "see whether the service is up and its address right, then: "
                "swiftbolt alerts check",
            )
        if row["n_lost"]:
            yield Finding(
                "channels",
                NOTICE,
                f"{row['n_lost']} messages of the last 7 days may not have "
                f"reached {row['channel']}",
                "read what they were about: swiftbolt alerts list --all",
            )
