"""What training reads from the warehouse, in bulk.

Which series there are and how far their bars reach, and the rows of a cut as
arrays: one query per timeframe, whatever the number of series.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.ensemble import CLASSES, FloatArray
from python_ml.exceptions import (
    NotEnoughDataError,
    SchemaError,
    UnknownSeriesError,
)
from python_ml.members.base import (
    IntArray,
    effective_sample_size,
    shrunken_shares,
)
from python_ml.training.fitting import (
    SPLIT_PARTS,
    HorizonExamples,
    SeriesExamples,
    TimeArray,
)
from python_ml.training.pooled import (
    PooledExamples,
    thinning,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

MAX_NAMES_IN_MESSAGE = 20
FIT_SHARES, WINDOW_SHARES = "fit", "window"
LOAD_COMMANDS = "`swiftbolt ingest sample`, then `swiftbolt run`"


@dataclass(frozen=True, slots=True)
class Series:
    """One symbol on one timeframe, and how far its bars reach.

    Parameters
    ----------
    symbol_id : int
        Key of `raw.symbols`.
    ticker, calendar, timeframe : str
        For example AAPL, XNYS, d1.
    last_closed_at : datetime
        Last bar by the as-of time.
    """

    symbol_id: int
    ticker: str
    calendar: str
    timeframe: str
    last_closed_at: datetime

    def __str__(self) -> str:
        return f"{self.ticker} {self.timeframe}"


def read_feature_names(warehouse: Warehouse) -> tuple[str, ...]:
    """Features in catalog order.

    Raises
    ------
    SchemaError
        If the catalog is empty.
    """
    names = tuple(
        read_frame(
            warehouse,
            "select feature from {features}.feature_catalog "
            "order by sort_order",
        )["feature"]
    )
    if not names:
        raise SchemaError(
            "features.feature_catalog is empty. Build it with: swiftbolt run"
        )
    return names


def read_horizons(
    warehouse: Warehouse, calendar: str, timeframe: str
) -> list[str]:
    """Horizons of a timeframe, shortest first."""
    return list(
        read_frame(
            warehouse,
            """
            select horizon
            from {features}.horizons
            where calendar = :calendar and timeframe = :timeframe
            order by horizon_bars
            """,
            {"calendar": calendar, "timeframe": timeframe},
        )["horizon"]
    )


def resolve_series(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    as_of: datetime | None,
) -> tuple[list[Series], dict[str, datetime], dict[Series, str]]:
    """Find the series asked for and how far their bars reach.

    Parameters
    ----------
    warehouse : Warehouse
        Open warehouse with built features.
    symbols, timeframes : sequence of str or None
        Which, None for all.
    as_of : datetime or None
        None for the last close of each calendar.

    Returns
    -------
    list of Series, dict of str to datetime, dict of Series to str
        The series by timeframe and ticker; the as-of time by calendar; those
        left out because their bars end too early, with the reason.

    Raises
    ------
    UnknownSeriesError
        If a symbol, a timeframe or a pair of them has no bars.
    NotEnoughDataError
        If there are no bars at all, or none by the as-of time.
    """
    spans = read_frame(
        warehouse,
        """
        select
            bars.symbol_id,
            bars.ticker,
            bars.calendar,
            bars.timeframe,
            timeframes.sort_order,
            timeframes.stale_after_sessions,
            min(bars.closed_at) as first_closed_at,
            max(bars.closed_at) as last_closed_at,
            max(case when bars.closed_at <= :as_of then bars.closed_at end)
                as known_closed_at
        from {features}.bars as bars
        inner join {features}.timeframes as timeframes
            on bars.timeframe = timeframes.timeframe
        group by
            bars.symbol_id,
            bars.ticker,
            bars.calendar,
            bars.timeframe,
            timeframes.sort_order,
            timeframes.stale_after_sessions
        order by timeframes.sort_order, bars.ticker
        """,
        {"as_of": as_of or datetime.max.replace(tzinfo=UTC)},
    )
    if spans.empty:
        raise NotEnoughDataError(
            f"features.bars is empty: load bars and build with {LOAD_COMMANDS}."
        )
    chosen = _choose(spans, symbols, timeframes)
    if as_of is None:
        as_ofs = {
            str(calendar): last.to_pydatetime()
            for calendar, last in spans.groupby("calendar")["last_closed_at"]
            .max()
            .items()
        }
    else:
        as_ofs = {str(name): as_of for name in spans["calendar"].unique()}
    known = chosen.dropna(subset=["known_closed_at"])
    if known.empty:
        raise NotEnoughDataError(
            f"No bar of the series asked for had closed by {as_of:%Y-%m-%d}; "
            f"the first closed on {chosen['first_closed_at'].min():%Y-%m-%d}. "
            "Use a later --as-of."
        )
    sessions = read_frame(
        warehouse, "select calendar, closed_at from {raw}.sessions"
    )
    series, stale = [], {}
    for row in chosen.to_dict("records"):
        end = as_ofs[row["calendar"]]
        is_known = not pd.isna(row["known_closed_at"])
        last = row["known_closed_at" if is_known else "first_closed_at"]
        one = Series(
            int(row["symbol_id"]),
            row["ticker"],
            row["calendar"],
            row["timeframe"],
            last.to_pydatetime(),
        )
        series.append(one)
        closes = sessions.loc[
            sessions["calendar"] == row["calendar"], "closed_at"
        ]
        missed = int(((closes > last) & (closes <= pd.Timestamp(end))).sum())
        if not is_known:
            stale[one] = (
                f"{one}: left out, its first bar closed on {last:%Y-%m-%d}, "
                f"after the as-of date {end:%Y-%m-%d}."
            )
        elif missed > row["stale_after_sessions"]:
            stale[one] = (
                f"{one}: left out, its last bar by {end:%Y-%m-%d} closed on "
                f"{last:%Y-%m-%d}, {missed} sessions earlier, more than "
                f"stale_after_sessions ({row['stale_after_sessions']}). Load "
                "newer bars or use an earlier --as-of."
            )
    return series, as_ofs, stale


def _choose(
    spans: pd.DataFrame,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
) -> pd.DataFrame:
    for column, what, asked in (
        ("ticker", "symbol", symbols),
        ("timeframe", "timeframe", timeframes),
    ):
        if asked is None:
            continue
        there = list(dict.fromkeys(spans[column]))
        if unknown := [name for name in asked if name not in there]:
            raise UnknownSeriesError(
                f"Unknown {what} {', '.join(unknown)}; the warehouse has "
                f"{_some(there)}. Load others with: swiftbolt ingest --help"
            )
        spans = spans[spans[column].isin(list(asked))]
    if spans.empty:
        raise UnknownSeriesError(
            f"None of {_some(symbols or [])} has bars on "
            f"{_some(timeframes or [])}."
        )
    return spans


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_NAMES_IN_MESSAGE])
    more = len(names) - MAX_NAMES_IN_MESSAGE
    return f"{shown} and {more} more" if more > 0 else shown


def read_examples(
    warehouse: Warehouse,
    cut_id: int,
    series: Sequence[Series],
    feature_names: Sequence[str],
) -> dict[int, SeriesExamples]:
    """Training rows of the series of one cut, in one query.

    Returns
    -------
    dict of int to SeriesExamples
        By symbol_id; series without rows are absent.
    """
    by_symbol = {one.symbol_id: one for one in series}
    keys: dict[str, Any] = {
        "cut_id": cut_id,
        "timeframe": series[0].timeframe,
    }
    columns = ",\n".join(f'"{name}"' for name in feature_names)
    frame = read_frame(
        warehouse,
        f"""
        select
            symbol_id,
            horizon,
            horizon_bars,
            bar_number,
            closed_at,
            label_end_at,
            label,
            label_return,
            expected_volatility,
            split_part,
            {columns}
        from {{features}}.training_examples
        where
            cut_id = :cut_id
            and timeframe = :timeframe
            and symbol_id = any(:symbol_ids)
        order by symbol_id, horizon_bars, bar_number
        """,
        {**keys, "symbol_ids": list(by_symbol)},
    )
    log_event(
        logger,
        "rows_read",
        table="features.training_examples",
        rows=len(frame),
        first=frame["closed_at"].min() if len(frame) else None,
        last=frame["closed_at"].max() if len(frame) else None,
        **keys,
    )
    climatologies = _read_climatologies(warehouse, keys)
    session_bars = _session_bars(warehouse, series[0])
    X = frame[list(feature_names)].to_numpy(dtype=np.float64)
    y = _codes(frame["label"], dict(zip(CLASSES, range(3), strict=True)))
    parts = _codes(frame["split_part"], SPLIT_PARTS)
    moves = (frame["label_return"] / frame["expected_volatility"]).to_numpy(
        dtype=np.float64
    )
    closed_at = _to_times(frame["closed_at"])
    label_end_at = _to_times(frame["label_end_at"])
    bar_numbers = frame["bar_number"].to_numpy(dtype=np.int64)
    horizons: dict[int, list[HorizonExamples]] = {}
    for first, last in _runs(frame[["symbol_id", "horizon_bars"]].to_numpy()):
        rows = slice(first, last)
        horizon = str(frame["horizon"].iloc[first])
        symbol_id = int(frame["symbol_id"].iloc[first])
        horizons.setdefault(symbol_id, []).append(
            HorizonExamples(
                horizon=horizon,
                horizon_bars=int(frame["horizon_bars"].iloc[first]),
                X=X[rows],
                y=y[rows],
                moves=moves[rows],
                bar_numbers=bar_numbers[rows],
                closed_at=closed_at[rows],
                label_end_at=label_end_at[rows],
                split_parts=parts[rows],
                fit_climatology=climatologies.of(
                    symbol_id, horizon, FIT_SHARES
                ),
                window_climatology=climatologies.of(
                    symbol_id, horizon, WINDOW_SHARES
                ),
                session_bars=session_bars,
            )
        )
    return {
        symbol_id: SeriesExamples(
            symbol_id=symbol_id,
            ticker=by_symbol[symbol_id].ticker,
            calendar=by_symbol[symbol_id].calendar,
            timeframe=by_symbol[symbol_id].timeframe,
            feature_names=tuple(feature_names),
            horizons=tuple(rows_by_horizon),
        )
        for symbol_id, rows_by_horizon in horizons.items()
    }


def read_pooled_examples(
    warehouse: Warehouse,
    cut_id: int,
    series: Sequence[Series],
    feature_names: Sequence[str],
) -> list[PooledExamples]:
    """What pooled members learn from under a cut, thinned out.

    Features are read once, labels of all horizons beside them.

    Returns
    -------
    list of PooledExamples
        Shortest horizon first; those without rows are absent.
    """
    keys: dict[str, Any] = {
        "cut_id": cut_id,
        "timeframe": series[0].timeframe,
        "symbol_ids": [one.symbol_id for one in series],
    }
    rows_of_cut = """
        from {features}.feature_rows as feature_rows
        inner join {ml}.training_cuts as cuts
            on
                feature_rows.calendar = cuts.calendar
                and feature_rows.timeframe = cuts.timeframe
                and feature_rows.closed_at >= coalesce(
                    cuts.pooled_window_starts_at, cuts.window_starts_at
                )
                and feature_rows.closed_at <= cuts.as_of
        where
            cuts.cut_id = :cut_id
            and feature_rows.timeframe = :timeframe
            and feature_rows.symbol_id = any(:symbol_ids)
            and feature_rows.is_usable
    """
    n_rows = int(
        read_frame(warehouse, f"select count(*) as n_rows {rows_of_cut}", keys)[
            "n_rows"
        ].iloc[0]
    )
    keys["step"] = step = thinning(n_rows, 0)
    # Not every series at the same times: all times stay.
    every = "mod(bar_number + symbol_id, :step) = 0"
    columns = ",\n".join(f'feature_rows."{name}"' for name in feature_names)
    features = read_frame(
        warehouse,
        f"""
        select
            feature_rows.symbol_id,
            feature_rows.bar_number,
            {columns}
        {rows_of_cut}
            and {every}
        """,
        keys,
    )
    labels = read_frame(
        warehouse,
        f"""
        select
            symbol_id,
            bar_number,
            horizon,
            horizon_bars,
            label,
            label_end_at,
            split_part
        from {{features}}.pooled_examples
        where
            cut_id = :cut_id
            and timeframe = :timeframe
            and symbol_id = any(:symbol_ids)
            and {every}
        order by horizon_bars, bar_number, symbol_id
        """,
        keys,
    )
    log_event(
        logger,
        "rows_read",
        table="features.pooled_examples",
        rows=len(labels),
        feature_rows=len(features),
        step=step,
        cut_id=cut_id,
        timeframe=series[0].timeframe,
    )
    X = features[list(feature_names)].to_numpy(dtype=np.float32)
    order, found = _positions(features, labels)
    labels, positions = labels[found], order[found]
    examples = []
    codes = dict(zip(CLASSES, range(len(CLASSES)), strict=True))
    for first, last in _runs(labels[["horizon_bars"]].to_numpy()):
        rows = labels.iloc[first:last]
        horizon_bars = int(rows["horizon_bars"].iloc[0])
        further = max(1, thinning(len(rows) * step, horizon_bars) // step)
        places = rows["bar_number"] + rows["symbol_id"]
        used = (places % (step * further) == 0).to_numpy()
        rows = rows[used]
        examples.append(
            PooledExamples(
                horizon=str(rows["horizon"].iloc[0]),
                horizon_bars=horizon_bars,
                X=X[positions[first:last][used]],
                y=_codes(rows["label"], codes),
                symbol_ids=rows["symbol_id"].to_numpy(dtype=np.int64),
                bar_numbers=rows["bar_number"].to_numpy(dtype=np.int64),
                label_end_at=_to_times(rows["label_end_at"]),
                split_parts=_codes(rows["split_part"], SPLIT_PARTS),
            )
        )
    return examples


def _positions(
    features: pd.DataFrame, labels: pd.DataFrame
) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Row of `features` of each label, and whether there is one."""
    width = 1 << 32

    def keys(frame: pd.DataFrame) -> IntArray:
        symbol_ids = frame["symbol_id"].to_numpy(dtype=np.int64)
        found: IntArray = symbol_ids * width + frame["bar_number"].to_numpy(
            dtype=np.int64
        )
        return found

    of_features, of_labels = keys(features), keys(labels)
    order = np.argsort(of_features, kind="stable")
    if len(order) == 0:
        return np.zeros(len(labels), np.int64), np.zeros(len(labels), bool)
    places = np.searchsorted(of_features[order], of_labels)
    rows = order[np.minimum(places, len(order) - 1)]
    found: npt.NDArray[np.bool_] = of_features[rows] == of_labels
    return rows, found


def _session_bars(warehouse: Warehouse, one: Series) -> int:
    """Grid bars of a full session of the series' calendar and timeframe."""
    return int(
        read_frame(
            warehouse,
            """
            select max(full_session_bars) as session_bars
            from {features}.bar_grid
            where calendar = :calendar and timeframe = :timeframe
            """,
            {"calendar": one.calendar, "timeframe": one.timeframe},
        )["session_bars"].iloc[0]
    )


@dataclass(frozen=True)
class _Climatologies:
    """Class shares of all series, and of each shrunk towards them.

    `FIT_SHARES` of labels that `fit` may know, `WINDOW_SHARES` of all labels
    that had ended by the as-of time.
    """

    of_all: Mapping[tuple[str, str], FloatArray]
    of_series: Mapping[tuple[int, str, str], FloatArray]

    def of(self, symbol_id: int, horizon: str, which: str) -> FloatArray:
        return self.of_series.get(
            (symbol_id, horizon, which), self.of_all[horizon, which]
        )


def _read_climatologies(
    warehouse: Warehouse, keys: Mapping[str, Any]
) -> _Climatologies:
    """Class shares under a cut over the long window of pooled members.

    A few hundred overlapping rows do not know how often a series rises, and
    the market's own rise in their time is a chance of that time. Of all
    series each time counts once, however many have a row then.
    """
    counts = pd.DataFrame()
    # A cut on record from before there were pooled members has no longer
    # window than that of its examples.
    for view in ("pooled_examples", "training_examples"):
        if counts.empty:
            counts = read_frame(
                warehouse,
                f"""
                select
                    horizon,
                    horizon_bars,
                    split_part,
                    label,
                    bar_number,
                    symbol_id,
                    count(*) as n_rows
                from {{features}}.{view}
                where
                    cut_id = :cut_id
                    and timeframe = :timeframe
                group by grouping sets (
                    (horizon, horizon_bars, split_part, label, bar_number),
                    (horizon, horizon_bars, split_part, label, symbol_id)
                )
                order by
                    horizon, split_part, label, bar_number, symbol_id
                """,
                keys,
            )
    of_all: dict[tuple[str, str], FloatArray] = {}
    of_series: dict[tuple[int, str, str], FloatArray] = {}
    for horizon, rows in counts.groupby("horizon"):
        horizon_bars = int(rows["horizon_bars"].iloc[0])
        for which, used in (
            (FIT_SHARES, rows[rows["split_part"] == "fit"]),
            (WINDOW_SHARES, rows),
        ):
            of_times = _count_classes(used, "bar_number")
            every = np.full(len(CLASSES), 1 / len(CLASSES))
            if len(of_times):
                shares = of_times.div(of_times.sum(axis=1), axis=0)
                every = shares.to_numpy(dtype=np.float64).mean(axis=0)
            of_all[str(horizon), which] = every
            of_symbols = _count_classes(used, "symbol_id")
            for symbol_id, n_rows in zip(
                of_symbols.index, of_symbols.to_numpy(), strict=True
            ):
                of_series[symbol_id, str(horizon), which] = shrunken_shares(
                    np.arange(len(CLASSES)),
                    n_effective=effective_sample_size(
                        n_rows.sum(), horizon_bars
                    ),
                    prior_shares=every,
                    sample_weight=n_rows,
                )
    return _Climatologies(of_all, of_series)


def _count_classes(counts: pd.DataFrame, by: str) -> pd.DataFrame:
    """Rows of each class, one column each, by one of the keys."""
    of_key = counts[counts[by].notna()].astype({by: np.int64})
    return of_key.pivot_table(
        index=by,
        columns="label",
        values="n_rows",
        aggfunc="sum",
        fill_value=0,
    ).reindex(columns=list(CLASSES), fill_value=0)


def _runs(keys: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    """Start and end of each run of equal rows."""
    if len(keys) == 0:
        return []
    changes = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(keys)]
    return list(itertools.pairwise(edges))


def _codes(column: "pd.Series[Any]", codes: Mapping[str, int]) -> IntArray:
    return np.asarray(column.map(codes), dtype=np.int64)


def _to_times(column: "pd.Series[Any]") -> TimeArray:
    times: TimeArray = (
        column.dt.tz_convert("UTC")
        .dt.tz_localize(None)
        .to_numpy(dtype="datetime64[us]")
    )
    return times
