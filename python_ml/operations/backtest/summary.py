"""What backtests have come to, side by side."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from python_ml.console.text_tables import to_records, to_text
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

RUNS_QUERY = """
    select *
    from {monitoring}.backtest_runs
    order by from_date, to_date, run_name
"""

TABLE = {
    "run_name": "run",
    "policy": "policy",
    "from_date": "from",
    "to_date": "to",
    "n_forecasts": "forecasts",
    "n_settled": "settled",
    "skill": "skill",
    "skill_standard_error": "+-",
    "accuracy": "accuracy",
    "coverage_50": "in 50%",
    "coverage_80": "in 80%",
    "coverage_95": "in 95%",
    "n_retrains": "retrains",
    "n_weight_updates": "weights",
    "processor_minutes": "minutes",
    "status": "status",
}


@dataclass(frozen=True)
class BacktestSummary:
    """A run, and those that it can be compared with.

    Parameters
    ----------
    run_name : str
        Of the run that was asked for.
    runs : DataFrame
        Rows of `monitoring.backtest_runs`, all there are.
    """

    run_name: str
    runs: pd.DataFrame

    def count(self, column: str) -> int:
        """A count of the run that was asked for."""
        own = self.runs[self.runs["run_name"] == self.run_name]
        return int(own[column].fillna(0).sum())

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {"run_name": self.run_name, "runs": to_records(self.runs)}

    def to_text(self) -> str:
        """All runs in a table, and where to read more of this one."""
        return "\n".join(
            [
                to_text(
                    self.runs.assign(
                        **{
                            name: self.runs[name].dt.strftime("%Y-%m-%d")
                            for name in ("from_date", "to_date")
                        }
                    ),
                    columns=TABLE,
                ),
                "",
                f"All views on forecasts, of {self.run_name}: in the schemas "
                f"backtest_{self.run_name}_forecasting and "
                f"backtest_{self.run_name}_monitoring.",
            ]
        )


def read_summary(warehouse: Warehouse, name: str) -> BacktestSummary:
    """All backtests on record, with an eye on one."""
    return BacktestSummary(name, read_frame(warehouse, RUNS_QUERY))
