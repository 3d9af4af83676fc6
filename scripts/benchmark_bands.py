"""Measure whether price bands hold what they say on bars that came later.

    .venv/bin/python scripts/benchmark_bands.py [BARS.parquet ...]

Every file of bars is loaded into a warehouse of its own and built. The walk
that issues live bands goes through its last 30% of bars, warmed up as live, and
each of its bands is compared with what came, beside two others on the same
rows:

| bands | are |
| --- | --- |
| `plain` | quantiles of a series' own last validation moves over its expected \
volatility, renewed every 20 sessions |
| `gauss` | those of a normal distribution with the volatility of the last 20 \
bars |

| figure | is |
| --- | --- |
| `coverage_error` | share of outcomes inside the band less its level, points |
| `tail_error` | the larger error of the two tails of the 80% band, points |
| `place_error` | the largest over thirds of the session, 80%, points |
| `turbulence_error` | the largest over terciles of market volatility, \
80%, points |
| `interval_score_to_...` | mean interval score of the 80% band over the \
other's |

With `--development` the last 30% of the first 70% are looked at instead. Every
other run is a look beyond it and is appended to
`scripts/benchmark_bands_looks.csv`.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from benchmark_quality import FILES, add_bar_arguments, measured
from benchmarking import find_files, go_when_told, record_look
from scipy.stats import norm

from python_ml.ensemble import FloatArray
from python_ml.exceptions import SwiftBoltError
from python_ml.forecasting.band_moves import (
    SeriesWindows,
    read_moves,
    read_windows,
)
from python_ml.scoring.band_walk import Moves, walk
from python_ml.scoring.bands import PROBABILITIES, band_ends, place_groups
from python_ml.scoring.metrics import block_standard_error
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

LOOKS = PROJECT_ROOT / "scripts" / "benchmark_bands_looks.csv"
SHARE_BEFORE = 0.7
# Places of the ends of each band in `PROBABILITIES`.
LEVELS = {50: (2, 4), 80: (1, 5), 95: (0, 6)}
# Bars whose labels ended last that validation holds, as `timeframes` has them.
VALIDATION_SHARE = 0.3
PLAIN_REFRESH_SESSIONS = 20
MIN_PLAIN_MOVES = 30
BLOCK_SESSIONS = 5

HORIZONS_QUERY = """
    select
        labels.timeframe,
        labels.calendar,
        labels.horizon,
        max(labels.horizon_bars) as horizon_bars,
        min(labels.bar_number) as first_bar_number,
        max(labels.bar_number) as last_bar_number,
        max(timeframes.sort_order) as sort_order,
        max(timeframes.window_bars) as window_bars
    from {features}.labels as labels
    inner join {features}.timeframes as timeframes
        on labels.timeframe = timeframes.timeframe
    group by labels.timeframe, labels.calendar, labels.horizon
    order by sort_order, horizon_bars
"""

SCALES_QUERY = """
    select
        labels.symbol_id,
        labels.bar_number,
        labels.label_return,
        labels.forecast_volatility,
        labels.expected_volatility,
        bars.adjusted_close
    from {features}.labels as labels
    inner join {features}.bars as bars
        on
            labels.symbol_id = bars.symbol_id
            and labels.timeframe = bars.timeframe
            and labels.bar_number = bars.bar_number
    where labels.timeframe = :timeframe and labels.horizon = :horizon
"""


@dataclass(frozen=True)
class Cell:
    """All rows of a file, timeframe and horizon, as times by series.

    Parameters
    ----------
    moves : Moves
        Over the whole history.
    log_returns, forecast, expected, closes : ndarray, (n_bars, n_series)
        NaN where there is none; rows from `moves.first_bar_number` on.
    first : int
        Row from which bands are judged.
    end : int
        Row before which they are.
    """

    moves: Moves
    log_returns: FloatArray
    forecast: FloatArray
    expected: FloatArray
    closes: FloatArray
    first: int
    end: int


def main() -> int:
    """Parse, measure, print."""
    go_when_told()
    arguments = parse_arguments()
    figures: dict[str, float] = {}
    try:
        for path in find_files(arguments.bars, FILES):
            with measured(path, arguments) as warehouse:
                for name, cell_figures in measure(warehouse, path, arguments):
                    figures |= cell_figures
                    print(name, flush=True)
    except SwiftBoltError as error:
        print(error, file=sys.stderr)
        return 1
    if not arguments.development:
        record_look(LOOKS, figures, symbols=arguments.symbols, unit="value")
    for name, value in figures.items():
        print(f"RESULT {name} {value:.4f}")
    return 0


def parse_arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add_bar_arguments(parser)
    return parser.parse_args()


def measure(
    warehouse: Warehouse, path: Path, arguments: argparse.Namespace
) -> Iterator[tuple[str, dict[str, float]]]:
    """Figures of every cell of one file, with a line for people."""
    for row in read_frame(warehouse, HORIZONS_QUERY).to_dict("records"):
        if arguments.timeframes and row["timeframe"] not in (
            arguments.timeframes.split(",")
        ):
            continue
        started = time.monotonic()
        windows = read_windows(warehouse, row["timeframe"])[row["calendar"]]
        cell = read_cell(warehouse, row, windows, arguments.development)
        n_validation = int(VALIDATION_SHARE * row["window_bars"])
        ends, factors = walked(cell, windows)
        found = judge(
            cell,
            windows,
            ends * (cell.forecast * factors)[:, :, None],
            {
                "plain": plain_ends(cell, windows, n_validation),
                "gauss": gauss_ends(cell),
            },
        )
        if not found:
            continue
        key = f"{path.stem}_{row['timeframe']}_{row['horizon_bars']}"
        yield (
            describe(f"{row['timeframe']} {row['horizon']}", found)
            + f"  {time.monotonic() - started:.0f} s",
            {
                (
                    f"{name.removesuffix(f'_{level}')}_{key}_{level}"
                    if (level := name.rsplit("_", 1)[1]).isdigit()
                    else f"{name}_{key}"
                ): value
                for name, value in found.items()
            },
        )


def read_cell(
    warehouse: Warehouse,
    row: dict[str, int],
    windows: SeriesWindows,
    is_development: bool,
) -> Cell:
    """All moves and scales of one timeframe and horizon."""
    horizon_bars = int(row["horizon_bars"])
    key = {
        name: str(row[name]) for name in ("calendar", "timeframe", "horizon")
    }
    bars = range(int(row["first_bar_number"]), int(row["last_bar_number"]) + 1)
    moves, _, _ = read_moves(
        warehouse, key, bars, horizon_bars, windows.session_bars
    )
    rows = read_frame(
        warehouse,
        SCALES_QUERY,
        {"timeframe": key["timeframe"], "horizon": key["horizon"]},
    )
    shape = moves.values.shape
    at = rows["bar_number"].to_numpy(np.int64) - moves.first_bar_number
    column_of = {key: column for column, key in enumerate(moves.symbol_ids)}
    columns = rows["symbol_id"].map(column_of).fillna(-1).to_numpy(np.int64)
    is_there = (at >= 0) & (at < shape[0]) & (columns >= 0)

    def table(name: str) -> FloatArray:
        cells = np.full(shape, np.nan)
        cells[at[is_there], columns[is_there]] = rows[name].to_numpy(
            np.float64
        )[is_there]
        return cells

    cut = int(SHARE_BEFORE * shape[0])
    return Cell(
        moves,
        table("label_return"),
        table("forecast_volatility"),
        table("expected_volatility"),
        table("adjusted_close"),
        first=int(SHARE_BEFORE * cut) if is_development else cut,
        # What had not ended by the cut is not looked at either.
        end=cut - horizon_bars if is_development else shape[0],
    )


def walked(cell: Cell, windows: SeriesWindows) -> tuple[FloatArray, FloatArray]:
    """Ends and factors of live bands: (n_bars, 1, 7) and (n_bars, n_series)."""
    moves = cell.moves
    start = max(cell.first - windows.bars.warm_up_bars, moves.horizon_bars)
    states, distributions = walk(
        moves,
        range(
            moves.first_bar_number + start, moves.first_bar_number + cell.end
        ),
        windows.bars,
    )
    groups = place_groups(moves.places, windows.session_bars)
    ends = np.full((len(moves.values), 1, len(PROBABILITIES)), np.nan)
    factors = np.ones(moves.values.shape)
    for state in states:
        row = state.bar_number - moves.first_bar_number
        distribution = distributions[state.from_bar_number]
        ends[row, 0] = band_ends(
            distribution.quantiles[groups[row]], state.offsets
        )
        factors[row] = [
            distribution.factors.get(key, 1.0) for key in moves.symbol_ids
        ]
    return ends, factors


def plain_ends(
    cell: Cell, windows: SeriesWindows, n_validation: int
) -> FloatArray:
    """Ends by each series' own last moves, shape (n_bars, n_series, 7)."""
    moves = cell.log_returns / cell.expected
    every = PLAIN_REFRESH_SESSIONS * windows.session_bars
    ends = np.full((*moves.shape, len(PROBABILITIES)), np.nan)
    for start in range(cell.first, cell.end, every):
        known = max(start - cell.moves.horizon_bars, 0)
        window = moves[max(known - n_validation, 0) : known]
        quantiles = np.full((moves.shape[1], len(PROBABILITIES)), np.nan)
        for column, values in enumerate(window.T):
            own = values[np.isfinite(values)]
            if own.size >= MIN_PLAIN_MOVES:
                quantiles[column] = np.quantile(own, PROBABILITIES)
        ends[start : min(start + every, cell.end)] = quantiles
    scaled: FloatArray = ends * cell.expected[:, :, None]
    return scaled


def gauss_ends(cell: Cell) -> FloatArray:
    """Ends by the trailing volatility of 20 bars, (n_bars, n_series, 7)."""
    closes = pd.DataFrame(np.log(cell.closes))
    trailing = closes.diff().pow(2).rolling(20, min_periods=15).mean()
    sigma = np.sqrt(trailing.to_numpy() * cell.moves.horizon_bars)
    scaled: FloatArray = sigma[:, :, None] * norm.ppf(PROBABILITIES)
    return scaled


def judge(
    cell: Cell,
    windows: SeriesWindows,
    ends: FloatArray,
    others: dict[str, FloatArray],
) -> dict[str, float]:
    """Figures of the live bands on the rows that all bands have, if any."""
    judged = np.zeros(cell.log_returns.shape, dtype=bool)
    judged[cell.first : cell.end] = True
    judged &= np.isfinite(cell.log_returns) & np.isfinite(ends).all(axis=2)
    for other in others.values():
        judged &= np.isfinite(other).all(axis=2)
    if not judged.any():
        return {}
    returns, held = cell.log_returns[judged], ends[judged]
    times, _ = np.nonzero(judged)
    low, high = (held[:, place] for place in LEVELS[80])
    inside = (returns >= low) & (returns <= high)
    figures = {"n_rows": float(len(returns))}
    for level, (lower, upper) in LEVELS.items():
        share = np.mean(
            (returns >= held[:, lower]) & (returns <= held[:, upper])
        )
        figures[f"coverage_error_{level}"] = 100 * (share - level / 100)
    block = BLOCK_SESSIONS * windows.session_bars
    figures["coverage_se_80"] = 100 * block_standard_error(
        inside.astype(float), times // max(block, cell.moves.horizon_bars)
    )
    figures["tail_error_80"] = _largest(
        100
        * np.array(
            [np.mean(returns < low) - 0.1, np.mean(returns > high) - 0.1]
        )
    )
    if windows.session_bars > 1:
        thirds = (cell.moves.places[times] - 0.5) / windows.session_bars * 3
        figures["place_error_80"] = _by_part(inside, thirds.astype(int))
    with np.errstate(invalid="ignore"):
        market = np.nanmean(
            np.where(judged, np.log(cell.expected), np.nan)[np.unique(times)],
            axis=1,
        )
    cuts = np.quantile(market, [1 / 3, 2 / 3])
    tercile_of = dict(
        zip(np.unique(times), np.digitize(market, cuts), strict=True)
    )
    figures["turbulence_error_80"] = _by_part(
        inside, np.array([tercile_of[at] for at in times])
    )
    own = interval_score(returns, low, high)
    for name, other in others.items():
        theirs = other[judged]
        figures[f"interval_score_to_{name}"] = own / interval_score(
            returns, *(theirs[:, place] for place in LEVELS[80])
        )
    return figures


def interval_score(
    returns: FloatArray, low: FloatArray, high: FloatArray
) -> float:
    """Mean interval score of 80% bands in log price, lower is better."""
    beyond = np.maximum(low - returns, 0) + np.maximum(returns - high, 0)
    return float(np.mean(high - low + 2 / 0.2 * beyond))


def _largest(errors: FloatArray) -> float:
    return float(errors[np.abs(errors).argmax()])


def _by_part(
    inside: npt.NDArray[np.bool_], parts: npt.NDArray[np.int64]
) -> float:
    return _largest(
        np.array(
            [
                100 * (inside[parts == one].mean() - 0.8)
                for one in np.unique(parts)
            ]
        )
    )


def describe(title: str, figures: dict[str, float]) -> str:
    """One line of the table."""
    shown = " ".join(
        f"{name.removeprefix('interval_score_')} {value:.3f}"
        if "interval" in name
        else f"{name} {value:+.1f}"
        for name, value in figures.items()
        if name != "n_rows"
    )
    return f"{title:<9} {figures['n_rows']:>9.0f} rows  {shown}"


if __name__ == "__main__":
    sys.exit(main())
