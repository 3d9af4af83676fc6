"""Forecasts of the same bars, from what was known then and from today."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from python_ml.examples.series import narrow_to_series
from python_ml.exceptions import FeatureMismatchError
from python_ml.forecasting.band_ends import with_band_ends
from python_ml.forecasting.due import REPLAY
from python_ml.forecasting.score import score
from python_ml.operations.lookahead.compare import (
    FINDING_COLUMNS,
    TOLERANCE,
)
from python_ml.registry.deployments import live_versions
from python_ml.registry.versions import load_version, read_versions
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

# Of each series, before a cut.
DAYS = 10
KEY = ["symbol_id", "timeframe", "bar_number", "horizon"]

EXAMPLES_QUERY = """
    select *
    from {features}.scoring_examples
    where
        closed_at > :since
        and closed_at <= :at
        and symbol_id = any(:symbol_ids)
        and timeframe = any(:timeframes)
    order by symbol_id, timeframe, bar_number, horizon_bars
"""


def compare_forecasts(
    warehouse: Warehouse,
    past: Warehouse,
    *,
    at: datetime,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
) -> tuple[int, pd.DataFrame]:
    """Forecast the last days before a time twice, by what is live today.

    The versions know later bars, which does not matter here: only what they
    are given differs.

    Parameters
    ----------
    warehouse, past : Warehouse
        As it is, and as it was built as of the time.
    at : datetime
    symbols, timeframes : sequence of str or None
        Which series, None for all.

    Returns
    -------
    (int, DataFrame)
        How many forecasts were compared, none where nothing is live; and the
        findings, as `compare_tables` returns them.
    """
    nothing = pd.DataFrame(columns=FINDING_COLUMNS)
    live = narrow_to_series(
        live_versions(warehouse), symbols, timeframes, warehouse=warehouse
    )
    if live.empty:
        return 0, nothing
    parameters = {
        "since": at - timedelta(days=DAYS),
        "at": at,
        "symbol_ids": live["symbol_id"].unique().tolist(),
        "timeframes": live["timeframe"].unique().tolist(),
    }
    then, now = (
        _score(
            warehouse,
            which,
            read_frame(which, EXAMPLES_QUERY, parameters),
            live,
        )
        for which in (past, warehouse)
    )
    if then.empty or now.empty:
        return 0, nothing
    both = then.merge(now, on=KEY, suffixes=("_then", "_now"))
    tickers = live.drop_duplicates("symbol_id").set_index("symbol_id")["ticker"]
    found = []
    for name in now.select_dtypes("number").columns.difference(KEY):
        a, b = both[f"{name}_then"], both[f"{name}_now"]
        differs = ~((a - b).abs() <= TOLERANCE * np.maximum(1, b.abs())) & ~(
            a.isna() & b.isna()
        )
        if differs.any():
            rows = both[differs].head(1)
            found.append(
                rows[KEY].assign(
                    table="forecasts",
                    column=name,
                    ticker=rows["symbol_id"].map(tickers),
                    closed_at=rows["closed_at_now"],
                    then=a[rows.index].astype(str),
                    now=b[rows.index].astype(str),
                    n_rows=int(differs.sum()),
                )[FINDING_COLUMNS]
            )
    return len(both), pd.concat(found, ignore_index=True) if found else nothing


def _score(
    warehouse: Warehouse,
    which: Warehouse,
    examples: pd.DataFrame,
    live: pd.DataFrame,
) -> pd.DataFrame:
    """Forecasts of examples by the versions that are live for them.

    Bands are walked by what `which` knows.
    """
    deployed = live[["symbol_id", "timeframe", "horizon", "version_id"]]
    due = examples.merge(deployed, on=["symbol_id", "timeframe", "horizon"])
    if due.empty:
        return due
    # Of no account here, as are the states that bands go on from.
    due = due.assign(days_since_forecast=0.0, trained_as_of=due["closed_at"])
    due["late_after"] = pd.NaT
    due = pd.concat(
        with_band_ends(
            which, rows, run_kind=REPLAY, run_name="lookahead-check"
        )[0]
        for _, rows in due.groupby("timeframe", sort=True)
    )
    versions = read_versions(warehouse, due["version_id"].unique().tolist())
    frames = []
    for version_id, rows in due.groupby("version_id", sort=True):
        version = versions[str(version_id)]
        try:
            frames.append(
                score(load_version(warehouse.settings, version), rows)
            )
        except FeatureMismatchError:
            # The row that is no number is a finding of its own.
            continue
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
