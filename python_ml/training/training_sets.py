"""What is on record about the training set of an ensemble version.

The training set of a version is what its training read: the rows of its cut
and series in `features.training_examples`, made from every record that had
been loaded when the training began.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from python_ml.console.json_text import to_plain
from python_ml.exceptions import UnknownVersionError
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import code_version

MAX_VERSIONS_NAMED = 5


@dataclass(frozen=True)
class TrainingSet:
    """The training set of one version, and how far it can be told.

    Parameters
    ----------
    version_id : str
    symbol_id : int
    ticker, calendar, timeframe : str
    cut_id : int
    as_of, window_starts_at : datetime
        Of the cut, UTC.
    trained_at : datetime
        When its training began, UTC.
    last_batch_id : int
        Last load before that.
    code_version : str
        Code that trained it.
    feature_names : tuple of str
        Features that it was trained on.
    data_fingerprint : str
        Of the rows that it was trained on.
    n_bars : int
        Loaded bars of its symbol in the window.
    n_bars_first_loaded_later : int
        Of these, bars first loaded after `as_of`. Such a backfill counts as
        known from its close on, which proves nothing about what was known.
    n_bars_restated_later : int
        Of these, bars with a value recorded after `as_of`: not known then.
    """

    version_id: str
    symbol_id: int
    ticker: str
    calendar: str
    timeframe: str
    cut_id: int
    as_of: datetime
    window_starts_at: datetime
    trained_at: datetime
    last_batch_id: int
    code_version: str
    feature_names: tuple[str, ...]
    data_fingerprint: str
    n_bars: int
    n_bars_first_loaded_later: int
    n_bars_restated_later: int

    def to_text(self, *, is_exact: bool) -> str:
        """Say which set it is and what cannot be told about it."""
        lines = [
            f"{self.version_id}: as of {self.as_of:%Y-%m-%d %H:%M}, cut "
            f"{self.cut_id}, trained {self.trained_at:%Y-%m-%d %H:%M} after "
            f"load {self.last_batch_id}."
        ]
        if not is_exact:
            lines.append(
                "  What it was trained on cannot be told exactly: its rows, "
                "rebuilt, differ from those on record. Either the code has "
                f"changed since ({self.code_version}, now {code_version()}), "
                "or its tables were built before the last load."
            )
        if self.n_bars_first_loaded_later:
            lines.append(
                f"  {self.n_bars_first_loaded_later} of the {self.n_bars} "
                "loaded bars in its window first came in after its as-of time: "
                "what was known of them then cannot be told."
            )
        if self.n_bars_restated_later:
            lines.append(
                f"  {self.n_bars_restated_later} of them hold a value that was "
                "recorded after its as-of time: not known then, but trained on."
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, times as ISO text."""
        plain: dict[str, Any] = to_plain(asdict(self))
        return plain


def read_training_set(warehouse: Warehouse, version_id: str) -> TrainingSet:
    """Read what is on record about the training set of a version.

    Raises
    ------
    UnknownVersionError
        If the version is not on record.
    """
    found = read_frame(
        warehouse,
        """
        select
            ensembles.version_id,
            ensembles.symbol_id,
            symbols.ticker,
            symbols.calendar,
            ensembles.timeframe,
            ensembles.cut_id,
            ensembles.as_of,
            cuts.window_starts_at,
            coalesce(job_runs.started_at, trained.created_at) as trained_at,
            trained.code_version,
            ensembles.feature_names,
            ensembles.data_fingerprint,
            (
                select coalesce(max(batches.batch_id), 0)
                from {raw}.ingest_batches as batches
                where
                    batches.ingested_at
                    <= coalesce(job_runs.started_at, trained.created_at)
            ) as last_batch_id
        from {ml}.ensembles as ensembles
        inner join {raw}.symbols as symbols
            on ensembles.symbol_id = symbols.symbol_id
        inner join {ml}.training_cuts as cuts
            on ensembles.cut_id = cuts.cut_id
        -- New weights read no row: their members' training did.
        inner join {ml}.ensembles as trained
            on
                coalesce(ensembles.members_version_id, ensembles.version_id)
                = trained.version_id
        left join {ml}.job_runs as job_runs
            on trained.job_run_id = job_runs.job_run_id
        where ensembles.version_id = :version_id
        """,
        {"version_id": version_id},
    )
    if found.empty:
        raise UnknownVersionError(
            f"There is no version {version_id!r}. "
            f"{name_latest_versions(warehouse)}"
        )
    row = {
        str(name): value for name, value in found.to_dict("records")[0].items()
    }
    bars = read_frame(
        warehouse,
        """
        select
            count(distinct (timeframe, opened_at)) as n_bars,
            count(distinct (timeframe, opened_at)) filter (
                where is_backfill and ingested_at > :as_of
            ) as n_bars_first_loaded_later,
            count(distinct (timeframe, opened_at)) filter (
                where not is_backfill and recorded_at > :as_of
            ) as n_bars_restated_later
        from {raw}.bars
        where
            symbol_id = :symbol_id
            and closed_at between :window_starts_at and :as_of
            and batch_id <= :last_batch_id
        """,
        row,
    )
    values: dict[str, Any] = {
        **row,
        **{str(name): int(bars[name].iloc[0]) for name in bars.columns},
        "feature_names": tuple(row["feature_names"]),
    }
    for name, value in values.items():
        if isinstance(value, pd.Timestamp):
            values[name] = value.to_pydatetime()
    return TrainingSet(**values)


def name_latest_versions(
    warehouse: Warehouse, series: TrainingSet | None = None
) -> str:
    """Sentence that names the latest versions, of a series or at all."""
    versions = read_frame(
        warehouse,
        """
        select version_id
        from {ml}.ensembles
        where
            (symbol_id = :symbol_id or cast(:symbol_id as integer) is null)
            and (timeframe = :timeframe or cast(:timeframe as text) is null)
        order by created_at desc
        limit :n_versions
        """,
        {
            "symbol_id": series and series.symbol_id,
            "timeframe": series and series.timeframe,
            "n_versions": MAX_VERSIONS_NAMED,
        },
    )["version_id"]
    if versions.empty:
        return "None is on record; train with: swiftbolt train --all"
    return f"The latest are {', '.join(versions)}."
