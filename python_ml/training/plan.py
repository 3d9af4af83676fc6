"""Resolve what is to be trained, and cut its time.

The first stages of a training: which series, how far their bars reach, and
one cut for all series of a calendar and timeframe.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from python_ml.examples.catalog import read_horizons
from python_ml.examples.cuts import Cut, ensure_cuts
from python_ml.examples.series import Series, resolve_series
from python_ml.exceptions import NotEnoughDataError
from python_ml.warehouse.connection import Warehouse


@dataclass(frozen=True)
class Group:
    """Series of one calendar and timeframe, which share a cut.

    Parameters
    ----------
    cut_id : int
        Key of `ml.training_cuts`.
    cut : Cut
        The same.
    series : tuple of Series
        To be trained.
    pool : tuple of Series
        From which pooled members learn: every series, whichever are trained.
    """

    cut_id: int
    cut: Cut
    series: tuple[Series, ...]
    pool: tuple[Series, ...]


@dataclass(frozen=True)
class Plan:
    """What a training is to do.

    Parameters
    ----------
    groups : tuple of Group
        One per calendar and timeframe.
    as_ofs : mapping of str to datetime
        As-of time of each calendar.
    left_out : mapping of Series to str
        Series that cannot be trained, and why.
    horizons : mapping of (str, str) to tuple of str
        By calendar and timeframe, shortest first.
    n_series : int
        Asked for, with those left out.
    """

    groups: tuple[Group, ...]
    as_ofs: Mapping[str, datetime]
    left_out: Mapping[Series, str]
    horizons: Mapping[tuple[str, str], tuple[str, ...]]
    n_series: int


def make_plan(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    as_of: datetime | None,
    split: str,
    embargo_bars: int,
) -> Plan:
    """Resolve the series asked for and cut the time of each group.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes, as_of, split, embargo_bars
        As `train` takes them.

    Raises
    ------
    UnknownSeriesError
        If a symbol or timeframe is not in the warehouse.
    NotEnoughDataError
        If no bar had closed by the as-of time.
    """
    series, as_ofs, stale = resolve_series(
        warehouse, symbols=symbols, timeframes=timeframes, as_of=as_of
    )
    left_out = dict(stale)
    cuts: dict[tuple[str, str], tuple[int, Cut]] = {}
    by_grid = _by_grid(each for each in series if each not in stale)
    for grid, members in by_grid.items():
        try:
            cuts |= ensure_cuts(
                warehouse,
                as_ofs,
                [grid],
                split=split,
                embargo_bars=embargo_bars,
            )
        except NotEnoughDataError as error:
            left_out |= dict.fromkeys(members, str(error))
    pools = by_grid
    if symbols is not None and cuts:
        every, _, every_stale = resolve_series(
            warehouse,
            symbols=None,
            timeframes=list({timeframe for _, timeframe in cuts}),
            as_of=as_of,
        )
        pools = _by_grid(each for each in every if each not in every_stale)
    return Plan(
        groups=tuple(
            Group(*cut, series=tuple(by_grid[grid]), pool=tuple(pools[grid]))
            for grid, cut in cuts.items()
        ),
        as_ofs=as_ofs,
        left_out=left_out,
        horizons=_read_horizons(warehouse),
        n_series=len(series),
    )


def _by_grid(series: Iterable[Series]) -> dict[tuple[str, str], list[Series]]:
    by_grid: dict[tuple[str, str], list[Series]] = {}
    for each in series:
        by_grid.setdefault((each.calendar, each.timeframe), []).append(each)
    return by_grid


def _read_horizons(
    warehouse: Warehouse,
) -> dict[tuple[str, str], tuple[str, ...]]:
    return {
        (str(calendar), str(timeframe)): tuple(rows["horizon"])
        for (calendar, timeframe), rows in read_horizons(warehouse).groupby(
            ["calendar", "timeframe"]
        )
    }
