"""Where the window of a training begins, is split and ends.

A cut is made in calendar time, on the bar grid of one calendar and timeframe,
and holds for all its series. `features.training_examples` applies it row by
row; this module only decides the times and records them in
`ml.training_cuts`.

With n_T the last grid bar closed by the as-of time and H the longest horizon:

    first ......... fit ......... | v ...... validation ...... L | H bars |
                     label ends before                    = n_T - H     n_T
                     v - embargo + 1

The window is the last `window_bars` bars whose longest label had ended, its
last part validation. Shorter horizons have more labelled rows at its end.
Pooled members see the same cut with a window that begins earlier.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.exceptions import (
    NotEnoughDataError,
    SchemaError,
    SettingsError,
)
from python_ml.schema import training_cuts
from python_ml.scoring.requirements import (
    MIN_FIT_ROWS,
    MIN_VALIDATION_ROWS,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

# Share of the window that members are fitted on.
SPLITS = {"70/30": 0.7, "60/40": 0.6, "80/20": 0.8}
DEFAULT_SPLIT = "70/30"
DEFAULT_EMBARGO_BARS = 1
SCOPE = "all"


@dataclass(frozen=True, slots=True)
class Cut:
    """The times that divide one training window.

    Parameters
    ----------
    calendar, timeframe : str
        Whose grid it is.
    as_of : datetime
        UTC; nothing that closed later is used.
    split : str
        Key of `SPLITS`, fit/validation in percent.
    embargo_bars : int
        Grid bars between the last label end of `fit` and validation, at
        least; 1 means the label ends before the first validation close.
    window_bars : int
        Grid bars of the window.
    window_starts_at : datetime
        `closed_at` of its first bar, inclusive.
    pooled_window_starts_at : datetime
        The same of the window of pooled members.
    fit_labels_end_before : datetime
        A fit row's label ended strictly before this.
    validation_starts_at : datetime
        `closed_at` of the first validation bar, inclusive.
    scope : str, default="all"
        Which series it is for.
    """

    calendar: str
    timeframe: str
    as_of: datetime
    split: str
    embargo_bars: int
    window_bars: int
    window_starts_at: datetime
    pooled_window_starts_at: datetime
    fit_labels_end_before: datetime
    validation_starts_at: datetime
    scope: str = SCOPE


def end_of_day(day: date) -> datetime:
    """Last microsecond of a day in UTC: an as-of date includes its day.

    Examples
    --------
    >>> end_of_day(date(2012, 6, 29)).isoformat()
    '2012-06-29T23:59:59.999999+00:00'
    """
    midnight = datetime.combine(day, time(), tzinfo=UTC)
    return midnight + timedelta(days=1) - timedelta(microseconds=1)


def needed_bars(split: str, longest_horizon_bars: int) -> int:
    """Smallest window that leaves enough rows to fit and to validate on.

    Examples
    --------
    >>> needed_bars("70/30", 20)
    172
    """
    share = fit_share(split)
    return max(
        math.ceil((MIN_FIT_ROWS + longest_horizon_bars) / share),
        math.ceil(MIN_VALIDATION_ROWS / (1 - share)),
    )


def fit_share(split: str) -> float:
    """Share of the window that members are fitted on.

    Raises
    ------
    SettingsError
        If the split is none of `SPLITS`.
    """
    if split not in SPLITS:
        raise SettingsError(
            f"Unknown split {split!r}; use one of {', '.join(SPLITS)} "
            "(fit/validation in percent)."
        )
    return SPLITS[split]


def check_embargo(embargo_bars: int) -> None:
    """Refuse an embargo that keeps nothing apart.

    Raises
    ------
    SettingsError
        If it is below 1.
    """
    if embargo_bars < 1:
        raise SettingsError(
            f"embargo_bars is {embargo_bars}; it must be 1 or more."
        )


def make_cut(
    grid: pd.DataFrame,
    *,
    calendar: str,
    timeframe: str,
    as_of: datetime,
    first_bar_number: int,
    window_bars: int,
    longest_horizon_bars: int,
    pooled_window_bars: int | None = None,
    split: str = DEFAULT_SPLIT,
    embargo_bars: int = DEFAULT_EMBARGO_BARS,
) -> Cut:
    """Cut the grid of one calendar and timeframe at an as-of time.

    Parameters
    ----------
    grid : DataFrame
        Columns `bar_number` (dense, ascending) and `closed_at` (UTC).
    calendar, timeframe : str
        Whose grid it is.
    as_of : datetime
        With time zone.
    first_bar_number : int
        First bar with a usable feature row of any series; a window that
        would begin earlier begins there.
    window_bars : int
        Bars wanted.
    longest_horizon_bars : int
        Bars between the end of the window and the as-of time.
    pooled_window_bars : int, optional
        Bars wanted for pooled members; never fewer than the window's.
    split : str, default="70/30"
        Key of `SPLITS`.
    embargo_bars : int, default=1
        At least 1.

    Raises
    ------
    SettingsError
        If the split is unknown or the embargo below 1 or too long.
    NotEnoughDataError
        If the as-of time lies before the data or too soon after its start.
    """
    share = fit_share(split)
    check_embargo(embargo_bars)
    numbers = grid["bar_number"].to_numpy(dtype=np.int64)
    closes = pd.DatetimeIndex(grid["closed_at"])
    needed = needed_bars(split, longest_horizon_bars) + embargo_bars
    n_closed = int(closes.searchsorted(pd.Timestamp(as_of), side="right"))
    last = int(numbers[n_closed - 1]) if n_closed else -1
    end = last - longest_horizon_bars
    first = max(end - window_bars + 1, first_bar_number)
    found = end - first + 1
    if found < needed:
        raise NotEnoughDataError(
            _too_few_bars(
                closes,
                numbers,
                what=f"{calendar} {timeframe} as of {as_of:%Y-%m-%d}",
                n_usable=max(0, last - first_bar_number + 1),
                first_bar_number=first_bar_number,
                n_needed=needed + longest_horizon_bars,
                window_bars=window_bars,
            )
        )
    validation = first + round(found * share)
    pooled_first = min(
        first, max(end - (pooled_window_bars or 0) + 1, first_bar_number)
    )

    def closed_at(bar_number: int) -> datetime:
        return closes[bar_number - int(numbers[0])].to_pydatetime()

    return Cut(
        calendar=calendar,
        timeframe=timeframe,
        as_of=as_of,
        split=split,
        embargo_bars=embargo_bars,
        window_bars=found,
        window_starts_at=closed_at(first),
        pooled_window_starts_at=closed_at(pooled_first),
        fit_labels_end_before=closed_at(validation - embargo_bars + 1),
        validation_starts_at=closed_at(validation),
    )


def _too_few_bars(
    closes: pd.DatetimeIndex,
    numbers: np.ndarray[Any, np.dtype[np.int64]],
    *,
    what: str,
    n_usable: int,
    first_bar_number: int,
    n_needed: int,
    window_bars: int,
) -> str:
    position = first_bar_number - int(numbers[0])
    earliest = position + n_needed - 1
    begin = f"the first usable one closed on {closes[position]:%Y-%m-%d}"
    if window_bars < n_needed:
        return (
            f"{what}: window_bars {window_bars} in the seed timeframes is "
            f"less than the {n_needed} bars that training needs."
        )
    if earliest >= len(closes):
        remedy = f"Load more bars; {n_needed} are needed."
    else:
        remedy = (
            f"Training needs {n_needed}: the earliest as-of date is "
            f"{closes[earliest]:%Y-%m-%d} (--as-of)."
        )
    return f"{what}: {n_usable} usable bars exist ({begin}). {remedy}"


def ensure_cuts(
    warehouse: Warehouse,
    as_of: Mapping[str, datetime],
    timeframes: Sequence[tuple[str, str]],
    *,
    split: str = DEFAULT_SPLIT,
    embargo_bars: int = DEFAULT_EMBARGO_BARS,
) -> dict[tuple[str, str], tuple[int, Cut]]:
    """Record the cuts of a training, or find them if they exist.

    Parameters
    ----------
    warehouse : Warehouse
        Open warehouse with built features.
    as_of : mapping of str to datetime
        By calendar.
    timeframes : sequence of (str, str)
        Calendar and timeframe of each cut wanted.
    split : str, default="70/30"
        Key of `SPLITS`.
    embargo_bars : int, default=1
        See `Cut`.

    Returns
    -------
    dict of (str, str) to (int, Cut)
        By calendar and timeframe, `cut_id` and cut.

    Raises
    ------
    SettingsError
        If the split is unknown or the embargo below 1.
    NotEnoughDataError
        If a grid holds too few usable bars by then; nothing is recorded.
    SchemaError
        If a timeframe has no horizons.
    """
    fit_share(split)
    cuts = {
        (calendar, timeframe): _cut_of(
            warehouse,
            calendar,
            timeframe,
            as_of=as_of[calendar],
            split=split,
            embargo_bars=embargo_bars,
        )
        for calendar, timeframe in timeframes
    }
    with warehouse.begin() as connection:
        return {
            key: (_find_or_insert(connection, cut), cut)
            for key, cut in cuts.items()
        }


def _cut_of(
    warehouse: Warehouse,
    calendar: str,
    timeframe: str,
    *,
    as_of: datetime,
    split: str,
    embargo_bars: int,
) -> Cut:
    keys = {"calendar": calendar, "timeframe": timeframe}
    settings = read_frame(
        warehouse,
        """
        select
            timeframes.window_bars,
            timeframes.pooled_window_bars,
            max(horizons.horizon_bars) as longest_horizon_bars
        from {features}.timeframes as timeframes
        inner join
            {intermediate}.int_horizons_completed_with_defaults as horizons
            on timeframes.timeframe = horizons.timeframe
        where
            timeframes.timeframe = :timeframe
            and horizons.calendar = :calendar
        group by timeframes.window_bars, timeframes.pooled_window_bars
        """,
        keys,
    )
    if settings.empty:
        raise SchemaError(
            f"There is no horizon for {calendar} {timeframe}. Load bars of the "
            "calendar, which gives it some, or add one to "
            "dbt_project/seeds/horizons.csv; then: swiftbolt run"
        )
    grid = read_frame(
        warehouse,
        """
        select bar_number, closed_at
        from {features}.bar_grid
        where calendar = :calendar and timeframe = :timeframe
        order by bar_number
        """,
        keys,
    )
    usable = read_frame(
        warehouse,
        """
        select min(bar_number) as first_bar_number
        from {features}.feature_rows
        where
            calendar = :calendar
            and timeframe = :timeframe
            and is_usable
        """,
        keys,
    )["first_bar_number"].iloc[0]
    if grid.empty or pd.isna(usable):
        raise NotEnoughDataError(
            f"{calendar} {timeframe} has no usable feature row. Load bars, "
            "for example with `swiftbolt ingest sample`, and build: swiftbolt "
            "run"
        )
    return make_cut(
        grid,
        calendar=calendar,
        timeframe=timeframe,
        as_of=as_of,
        first_bar_number=int(usable),
        window_bars=int(settings["window_bars"].iloc[0]),
        pooled_window_bars=int(settings["pooled_window_bars"].iloc[0]),
        longest_horizon_bars=int(settings["longest_horizon_bars"].iloc[0]),
        split=split,
        embargo_bars=embargo_bars,
    )


def _find_or_insert(connection: sa.Connection, cut: Cut) -> int:
    values = asdict(cut)
    found = connection.execute(
        sa.select(training_cuts.c.cut_id)
        .where(
            *(training_cuts.c[name] == value for name, value in values.items())
        )
        .order_by(training_cuts.c.cut_id)
        .limit(1)
    ).scalar()
    if found is None:
        found = connection.execute(
            training_cuts.insert()
            .values(**values)
            .returning(training_cuts.c.cut_id)
        ).scalar_one()
        log_event(logger, "cut_recorded", cut_id=found, **values)
    return int(found)
