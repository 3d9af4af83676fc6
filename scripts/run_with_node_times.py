"""Run `swiftbolt run` and write how long each node of its build took.

    .venv/bin/python scripts/run_with_node_times.py NODES.json

A part of `benchmark_daily.py`, in a process of its own: what it measures shall
import what the command imports and nothing else.
"""

import json
import sys
from pathlib import Path

from python_ml.cli import main
from python_ml.operations import daily
from python_ml.warehouse.dbt import DbtSummary

build = daily.build


def node_times(summary: DbtSummary) -> list[dict[str, str | bool | float]]:
    """Name, kind, start and end of each node, seconds since the epoch."""
    return [
        {
            "name": result.node.name,
            "is_test": result.node.resource_type == "test",
            "started": timing.started_at.timestamp(),
            "ended": timing.completed_at.timestamp(),
        }
        for result in summary.output.results
        for timing in result.timing
        if timing.name == "execute" and timing.completed_at is not None
    ]


if __name__ == "__main__":
    path = Path(sys.argv[1])

    def build_and_write(
        *arguments: object, **keywords: object
    ) -> daily.BuildSummary:
        """Build, and keep what dbt said of its nodes."""
        summary = build(*arguments, **keywords)  # type: ignore[arg-type]
        path.write_text(json.dumps(node_times(summary.dbt)))
        return summary

    daily.build = build_and_write  # type: ignore[assignment]
    main(["run"])
