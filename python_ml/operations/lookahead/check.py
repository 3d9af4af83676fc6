"""Build the past as it was known, and find what has changed since.

A feature, a label or an example of a bar must say the same whether it was made
when the bar closed or today. Wherever it does not, something has looked ahead.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from python_ml.console.logs import get_logger, log_event
from python_ml.console.text_tables import to_records, to_text
from python_ml.exceptions import LeakageError, NotEnoughDataError
from python_ml.forecasting.due import read_series
from python_ml.operations.lookahead.compare import (
    COMPARISONS,
    FINDING_COLUMNS,
    compare_tables,
)
from python_ml.operations.lookahead.forecasts import compare_forecasts
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.jobs import excluding, job_run

logger = get_logger(__name__)

BUILD = (
    "build",
    "--select",
    *("+scoring_examples", "+labels", "feature_catalog"),
    "horizon_feature_catalog",
    *("--exclude-resource-type", "test"),
    *("--exclude-resource-type", "unit_test"),
    "--full-refresh",
)

# Closes at which usable rows of the series asked for end.
CLOSES_QUERY = """
    select distinct feature_rows.closed_at
    from {features}.feature_rows as feature_rows
    where
        feature_rows.is_usable
        and feature_rows.symbol_id = any(:symbol_ids)
        and feature_rows.timeframe = any(:timeframes)
    order by feature_rows.closed_at
"""


@dataclass(frozen=True)
class LookaheadSummary:
    """What a check has found.

    Parameters
    ----------
    cuts : tuple of datetime
        Times at which history was cut.
    n_rows : dict of str to int
        Rows compared, by table; `forecasts` among them.
    findings : DataFrame of shape (n_findings, n_columns)
        `cut`, `table`, `column`, `ticker`, `timeframe`, `horizon`,
        `bar_number`, `closed_at`, `then`, `now`, `n_rows`: the first rows of
        each column that differs at a cut.
    """

    cuts: tuple[datetime, ...]
    n_rows: dict[str, int]
    findings: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "cuts": [cut.isoformat() for cut in self.cuts],
            "rows_compared": self.n_rows,
            "findings": to_records(self.findings),
        }

    def to_text(self) -> str:
        """What was compared, and what differs."""
        compared = ", ".join(f"{n} {table}" for table, n in self.n_rows.items())
        cuts = ", ".join(f"{cut:%Y-%m-%d %H:%M}" for cut in self.cuts)
        lines = [f"Cut at {cuts} UTC; compared {compared}."]
        if self.findings.empty:
            lines.append("Nothing changes when later bars are cut off.")
        else:
            lines.append(
                to_text(
                    self.findings.rename(columns={"cut": "cut_at"}),
                    columns={"cut_at": "cut"}
                    | {name: name for name in FINDING_COLUMNS},
                    at_most=len(self.findings),
                )
            )
        return "\n".join(lines)


def check_lookahead(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    n_cuts: int = 3,
    seed: int = 0,
) -> LookaheadSummary:
    """Cut history at random closes and compare what was known with today.

    For each cut everything that had closed by then is built anew into schemas
    of its own, which are dropped afterwards, and every feature row, label and
    scoring example of those bars is compared with the live tables, as are
    forecasts by what is live. Rows that a later record has restated are left
    out.

    Parameters
    ----------
    warehouse : Warehouse
        Open warehouse with built features.
    symbols, timeframes : sequence of str, optional
        Which series are compared, by default all.
    n_cuts : int, default=3
    seed : int, default=0
        Decides the times.

    Raises
    ------
    UnknownSeriesError
        If a symbol or timeframe is not in the warehouse.
    NotEnoughDataError
        If no series asked for has a usable row.
    BuildError
        If the past cannot be built.
    JobRunningError
        If a build or another check runs.
    """
    arguments = {
        "symbols": None if symbols is None else list(symbols),
        "timeframes": None if timeframes is None else list(timeframes),
        "cuts": n_cuts,
        "seed": seed,
    }
    with (
        job_run(warehouse, "lookahead-check", arguments) as job,
        excluding(warehouse, "build"),
    ):
        cuts = _draw_cuts(
            warehouse, symbols, timeframes, n_cuts=n_cuts, seed=seed
        )
        n_rows: dict[str, int] = {}
        findings = []
        for cut in cuts:
            with _built_as_of(warehouse, cut) as past:
                for name, n, found in _compare_all(
                    warehouse, past, cut, symbols, timeframes
                ):
                    n_rows[name] = n_rows.get(name, 0) + n
                    if len(found):
                        findings.append(found.assign(cut=pd.Timestamp(cut)))
        summary = LookaheadSummary(
            tuple(cuts),
            n_rows,
            pd.concat(findings, ignore_index=True)[["cut", *FINDING_COLUMNS]]
            if findings
            else pd.DataFrame(columns=["cut", *FINDING_COLUMNS]),
        )
        job.counts["rows"] = sum(n_rows.values())
        job.counts["findings"] = len(summary.findings)
    return summary


def raise_on_findings(summary: LookaheadSummary) -> None:
    """Fail if anything was found.

    Raises
    ------
    LeakageError
        Names the columns.
    """
    if not summary.findings.empty:
        names = sorted(
            set(summary.findings["table"] + "." + summary.findings["column"])
        )
        raise LeakageError(
            f"{len(names)} columns say something else of the past than was "
            f"known then: {', '.join(names)}. Look at the SQL of these in "
            "dbt_project/models for what reads a later bar, build again, and "
            "repeat: swiftbolt lookahead-check"
        )


def _draw_cuts(
    warehouse: Warehouse,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    *,
    n_cuts: int,
    seed: int,
) -> list[datetime]:
    series = read_series(warehouse, symbols, timeframes)
    closes = read_frame(
        warehouse,
        CLOSES_QUERY,
        {
            "symbol_ids": series["symbol_id"].unique().tolist(),
            "timeframes": series["timeframe"].unique().tolist(),
        },
    )["closed_at"]
    # The last close is what the live tables know anyway.
    if len(closes) < 2:
        raise NotEnoughDataError(
            "No series asked for has two usable feature rows, so there is "
            "nothing to cut. Load bars and build: swiftbolt run"
        )
    random = np.random.default_rng(seed)
    drawn = random.choice(
        len(closes) - 1, size=min(n_cuts, len(closes) - 1), replace=False
    )
    return [closes.iloc[place].to_pydatetime() for place in sorted(drawn)]


@contextlib.contextmanager
def _built_as_of(warehouse: Warehouse, cut: datetime) -> Iterator[Warehouse]:
    """The features as they were known, in schemas that go again."""
    # A moment later, so that a build that someone keeps is not written over.
    as_of = cut + timedelta(microseconds=1)
    prefix = (
        f"{warehouse.settings.schema_prefix}"
        f"asof_{as_of:%Y%m%dt%H%M%S}f{as_of:%f}_"
    )
    log_event(logger, "history_cut", at=cut)
    try:
        variables = json.dumps({"as_of": as_of.isoformat()})
        run_dbt(warehouse, [*BUILD, "--vars", variables])
        with warehouse.with_prefix(prefix) as past:
            yield past
    finally:
        _drop_schemas(warehouse, prefix)


def _drop_schemas(warehouse: Warehouse, prefix: str) -> None:
    with warehouse.begin() as connection:
        for name in sa.inspect(connection).get_schema_names():
            if name.startswith(prefix):
                connection.execute(sa.schema.DropSchema(name, cascade=True))


def _compare_all(
    warehouse: Warehouse,
    past: Warehouse,
    cut: datetime,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """By table, the rows compared and what differs."""
    for comparison in COMPARISONS:
        n_rows, found = compare_tables(
            warehouse,
            past.settings.schema("features"),
            comparison,
            at=cut,
            symbols=symbols,
            timeframes=timeframes,
        )
        yield comparison.table, n_rows, found
    yield (
        "forecasts",
        *compare_forecasts(
            warehouse, past, at=cut, symbols=symbols, timeframes=timeframes
        ),
    )
