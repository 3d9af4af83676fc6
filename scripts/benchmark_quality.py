"""Measure how good forecasts are on bars that came after everything learnt.

    .venv/bin/python scripts/benchmark_quality.py [BARS.parquet ...]

Every file of bars is loaded into a warehouse of its own and built; then, for
each timeframe, `swiftbolt train` is run as of the 70% quantile of bar time and
what it deploys is scored on all later bars (`cut`), or it is run again every
month and each version scored until the next (`walk`). All arms are scored on
the same rows against the same climatology: class shares of all labels that had
ended by the cut, the series' own shrunk towards all series'.

| arm | is |
| --- | --- |
| `place_in_session` | class shares at each place in the session |
| `plain_recipe` | random forest and exact gradient boosting on the last 420 \
rows of each of a few series, half and half |
| `ordinary_booster` | one histogram booster over all series on 26 usual \
indicators |
| members | what each member of the deployed ensembles says |
| `ensemble` | what is deployed |

Skill is 1 - log loss / climatology's. Direction skill is that of up against
down among rows that moved. Standard errors come from blocks of 5 sessions, or
of a horizon where that is longer, that hold the rows of all series.

With `--without FEATURE,...` everything is trained a second time without them,
and what they are worth is told with its paired error.

With `--development` nothing after the cut is looked at: the cut is made at the
70% quantile of the bars before it. Every other run is a look beyond it and is
appended to `scripts/benchmark_quality_looks.csv`.

Each figure of the ensemble is also a line `RESULT name value`, in percent.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from benchmarking import (
    find_files,
    go_when_told,
    record_look,
    throwaway_settings,
)
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from threadpoolctl import threadpool_limits

from python_ml.ensemble import BULLISH, CLASSES, NEUTRAL
from python_ml.examples.catalog import (
    read_feature_names,
    read_horizon_feature_names,
)
from python_ml.exceptions import SwiftBoltError
from python_ml.ingestion.load import ingest
from python_ml.ingestion.readers.bar_file import BarFile, source_name
from python_ml.members.base import shrunken_shares
from python_ml.registry.versions import load_ensemble
from python_ml.scoring.metrics import (
    accuracy,
    block_standard_error,
    brier_score,
    log_losses,
    skill,
    skill_standard_error,
)
from python_ml.settings import PROJECT_ROOT
from python_ml.training.train import train
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse, open_warehouse
from python_ml.warehouse.dbt import run_dbt

FILES = (
    "daily_sp500_2010_2021.parquet",
    "intraday_polygon6_2023_2025.parquet",
)
# Base horizons of all timeframes, and two more of d1.
CELLS = {"m15": (4,), "h1": (4,), "h4": (2,), "d1": (1, 5, 20), "w1": (4,)}
CUT = 0.7
PLAIN_SERIES = 12
PLAIN_ROWS = 420
BLOCK_SESSIONS = 5
CALIBRATION_BINS = 10
RANDOM_STATE = 0
MODES = ("cut", "walk")
LOOKS = PROJECT_ROOT / "scripts" / "benchmark_quality_looks.csv"
BOOSTER, ENSEMBLE = "ordinary_booster", "ensemble"
WITHOUT = "without_features"
OTHER_ARMS = (ENSEMBLE, WITHOUT, BOOSTER, "place_in_session", "plain_recipe")


@dataclass
class Cell:
    """Rows of one timeframe and horizon, and what each arm says of them.

    Parameters
    ----------
    name : str
        File, timeframe and bars.
    rows : DataFrame
        `symbol_id`, `bar_number`, `session`, `y`, ascending.
    climatology : ndarray of shape (n_samples, 3)
        The forecast of no skill.
    arms : dict of str to ndarray of shape (n_samples, 3)
        NaN in rows that an arm does not cover.
    """

    name: str
    rows: pd.DataFrame
    climatology: np.ndarray
    block_sessions: int
    arms: dict[str, np.ndarray] = field(default_factory=dict)


def main() -> int:
    """Parse, measure, print."""
    go_when_told()
    arguments = parse_arguments()
    try:
        figures: dict[str, float] = {}
        for path in find_files(arguments.bars, FILES):
            with measured(path, arguments) as warehouse:
                figures |= measure(warehouse, path, arguments)
    except SwiftBoltError as error:
        print(error, file=sys.stderr)
        return 1
    summarise(figures)
    for name, value in figures.items():
        print(f"RESULT {name} {value:.4f}")
    return 0


def parse_arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add_bar_arguments(parser)
    parser.add_argument(
        "--only", choices=MODES, help="cut or walk; by default both"
    )
    parser.add_argument(
        "--walk-symbols",
        type=int,
        default=24,
        metavar="N",
        help="symbols that are trained every month (default 24)",
    )
    parser.add_argument(
        "--without",
        metavar="FEATURE,...",
        help="what the ensemble would be without them, with --only cut",
    )
    return parser.parse_args()


def add_bar_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which bars are used, and how far they are looked at."""
    parser.add_argument("bars", nargs="*", type=Path, metavar="BARS.parquet")
    parser.add_argument(
        "--development",
        action="store_true",
        help="stop at the cut; tune with this",
    )
    parser.add_argument(
        "--symbols", type=int, metavar="N", help="use N of the symbols only"
    )
    parser.add_argument(
        "--timeframes", metavar="TF,...", help="by default all there are"
    )


@contextlib.contextmanager
def measured(path: Path, arguments: argparse.Namespace) -> Iterator[Warehouse]:
    """Load and build one file in a warehouse that is thrown away."""
    symbols = sorted(
        pd.read_parquet(path, columns=["symbol"])["symbol"].unique().astype(str)
    )
    if arguments.symbols:
        symbols = symbols[:: max(1, len(symbols) // arguments.symbols)]
        symbols = symbols[: arguments.symbols]
    with (
        throwaway_settings() as settings,
        open_warehouse(settings) as warehouse,
    ):
        started = time.monotonic()
        ingest(
            warehouse,
            BarFile(
                [path],
                name=source_name(path.stem),
                calendar="XNYS",
                adjustments_path=None,
                time_zone=None,
                symbols=symbols,
                timeframes=None,
            ),
        )
        run_dbt(
            warehouse,
            ["build", "--exclude-resource-type", "test", "unit_test"],
        )
        print(
            f"{path.stem}: {len(symbols)} symbols built in "
            f"{time.monotonic() - started:.0f} s",
            flush=True,
        )
        yield warehouse


# Measuring


def measure(
    warehouse: Warehouse, path: Path, arguments: argparse.Namespace
) -> dict[str, float]:
    """Figures of every cell of one file."""
    figures: dict[str, float] = {}
    for timeframe, horizons in CELLS.items():
        if arguments.timeframes and timeframe not in arguments.timeframes:
            continue
        data = read_timeframe(warehouse, timeframe)
        if data is None:
            continue
        for mode in MODES:
            if arguments.only not in (None, mode):
                continue
            try:
                cells = measure_timeframe(
                    warehouse, path, timeframe, horizons, data, mode, arguments
                )
            except SwiftBoltError as error:
                print(f"{path.stem} {timeframe} {mode}: {error}")
                continue
            seen: dict[str, float] = {}
            for bars, cell in cells.items():
                key = f"{mode}_{path.stem}_{timeframe}_{bars}"
                seen |= report(cell, key)
            # At once: a run that is broken off has been looked at, too.
            if not arguments.development:
                record_look(
                    LOOKS,
                    {
                        name: value
                        for name, value in seen.items()
                        if name.startswith("skill_")
                        and not name.startswith("skill_se_")
                    },
                    symbols=arguments.symbols,
                    unit="percent",
                )
            figures |= seen
    return figures


@dataclass
class Timeframe:
    """Everything built of one timeframe.

    Parameters
    ----------
    features : DataFrame
        Usable rows with their features.
    labels : DataFrame
        Settled labels, with the features of their horizons.
    indicators : DataFrame
        The usual indicators of every bar.
    row_feature_names, horizon_feature_names, indicator_names : list of str
        Columns of the above.
    session_bars : int
        Bars of a full session.
    """

    features: pd.DataFrame
    labels: pd.DataFrame
    indicators: pd.DataFrame
    row_feature_names: list[str]
    horizon_feature_names: list[str]
    indicator_names: list[str]
    session_bars: int


def read_timeframe(warehouse: Warehouse, timeframe: str) -> Timeframe | None:
    """Features, labels and indicators of one timeframe, if it has any."""
    by_horizon = list(read_horizon_feature_names(warehouse))
    of_row = [
        name for name in read_feature_names(warehouse) if name not in by_horizon
    ]
    keys = {"timeframe": timeframe}
    features = read_frame(
        warehouse,
        f"""
        select symbol_id, bar_number, session_date, closed_at,
            {", ".join(of_row)}
        from {{features}}.feature_rows
        where timeframe = :timeframe and is_usable
        order by symbol_id, bar_number
        """,
        keys,
    )
    if features.empty:
        return None
    features[of_row] = features[of_row].astype(np.float32)
    labels = read_frame(
        warehouse,
        f"""
        select symbol_id, horizon, horizon_bars, bar_number, label,
            label_end_at, {", ".join(by_horizon)}
        from {{features}}.labels
        inner join {{features}}.horizon_scales
            using (symbol_id, timeframe, horizon, horizon_bars, bar_number)
        where timeframe = :timeframe and label is not null
        """,
        keys,
    )
    bars = read_frame(
        warehouse,
        """
        select symbol_id, bar_number, opened_at, adjusted_open,
            adjusted_high, adjusted_low, adjusted_close, adjusted_volume
        from {features}.bars
        where timeframe = :timeframe
        order by symbol_id, bar_number
        """,
        keys,
    )
    indicators = usual_indicators(bars)
    session_bars = read_frame(
        warehouse,
        """
        select max(full_session_bars) as n
        from {features}.bar_grid
        where timeframe = :timeframe
        """,
        keys,
    )["n"].iloc[0]
    return Timeframe(
        features,
        labels,
        indicators,
        of_row,
        by_horizon,
        [name for name in indicators if name not in KEYS],
        int(session_bars),
    )


KEYS = ["symbol_id", "bar_number"]


def usual_indicators(bars: pd.DataFrame) -> pd.DataFrame:
    """The 26 indicators that a usual pipeline feeds a booster with."""
    found = {}
    for symbol_id, one in bars.groupby("symbol_id", sort=False):
        close, high, low = (
            one[f"adjusted_{name}"] for name in ("close", "high", "low")
        )
        volume = one["adjusted_volume"]
        move = np.log(close).diff()
        columns = {f"return_{k}": np.log(close).diff(k) for k in (1, 2, 5, 20)}
        columns |= {
            f"close_to_average_{k}": close / close.rolling(k).mean() - 1
            for k in (5, 10, 20, 50)
        }
        fast, slow = (close.ewm(span=k, adjust=False).mean() for k in (12, 26))
        macd = (fast - slow) / close
        signal = macd.ewm(span=9, adjust=False).mean()
        gain = move.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
        loss = (-move).clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
        middle, width = close.rolling(20).mean(), close.rolling(20).std()
        true_range = pd.concat(
            [
                high - low,
                (high - close.shift()).abs(),
                (low - close.shift()).abs(),
            ],
            axis=1,
        ).max(axis=1)
        lowest, highest = low.rolling(14).min(), high.rolling(14).max()
        stochastic = (close - lowest) / (highest - lowest)
        typical = (high + low + close) / 3
        columns |= {
            "macd": macd,
            "macd_signal": signal,
            "macd_histogram": macd - signal,
            "rsi_14": gain / (gain + loss),
            "bollinger_place": (close - middle) / (2 * width),
            "bollinger_width": width / middle,
            "average_true_range_14": true_range.rolling(14).mean() / close,
            "stochastic_k": stochastic,
            "stochastic_d": stochastic.rolling(3).mean(),
            "volatility_10": move.rolling(10).std(),
            "volatility_20": move.rolling(20).std(),
            "volume_ratio_20": volume / volume.rolling(20).mean(),
            "rate_of_change_10": close / close.shift(10) - 1,
            "williams_r": (highest - close) / (highest - lowest),
            "commodity_channel_20": (typical - typical.rolling(20).mean())
            / typical.rolling(20).std(),
            "high_low_range": (high - low) / close,
            "hour": one["opened_at"].dt.hour + one["opened_at"].dt.minute / 60,
            "weekday": one["opened_at"].dt.day_of_week,
        }
        found[symbol_id] = pd.DataFrame(
            {"symbol_id": symbol_id, "bar_number": one["bar_number"], **columns}
        )
    table = pd.concat(found.values(), ignore_index=True)
    assert len(table.columns) - len(KEYS) == 26
    return table.replace([np.inf, -np.inf], np.nan)


def measure_timeframe(
    warehouse: Warehouse,
    path: Path,
    timeframe: str,
    horizons: Sequence[int],
    data: Timeframe,
    mode: str,
    arguments: argparse.Namespace,
) -> dict[int, Cell]:
    """Train, then score every horizon; cells by horizon in bars."""
    closes = np.sort(data.features["closed_at"].to_numpy())
    outer = closes[int(CUT * (len(closes) - 1))]
    end = closes[-1]
    cut = outer
    if arguments.development:
        end = outer
        cut = closes[int(CUT * (np.searchsorted(closes, outer) - 1))]
    as_ofs = [as_time(cut)]
    symbols = None
    left_out = arguments.without.split(",") if arguments.without else []
    if mode == "walk":
        left_out = []
        months = pd.date_range(as_time(cut), as_time(end), freq="MS")
        as_ofs += [month.to_pydatetime() for month in months]
        symbols = walk_symbols(warehouse, data, arguments.walk_symbols)
    cells: dict[int, Cell] = {}
    scored = dict.fromkeys(horizons, 0)
    for number, as_of in enumerate(as_ofs):
        until = as_ofs[number + 1] if number + 1 < len(as_ofs) else None
        summary = train(
            warehouse,
            symbols=symbols,
            timeframes=[timeframe],
            as_of=as_of,
            promotion="never",
            n_jobs=2,
        )
        versions = summary.results.dropna(subset=["version_id"])
        if left_out:
            bare_versions = train_without(warehouse, left_out, timeframe, as_of)
        for bars in horizons:
            cell = make_cell(
                f"{path.stem} {timeframe} {bars} {mode}",
                data,
                bars,
                versions,
                cut=np.datetime64(as_of.replace(tzinfo=None)),
                until=until and np.datetime64(until.replace(tzinfo=None)),
                end=end,
            )
            if cell is None:
                continue
            add_ensembles(warehouse, cell, versions, data, bars)
            if mode == "cut":
                add_references(cell, data, bars, as_time(cut))
                if left_out:
                    add_ensembles(
                        warehouse, cell, bare_versions, data, bars, left_out
                    )
            cells[bars] = cell if bars not in cells else join(cells[bars], cell)
            scored[bars] += len(cell.rows)
        if mode == "walk":
            print(f"  {timeframe} walk {as_of:%Y-%m-%d} {scored}", flush=True)
    return cells


def train_without(
    warehouse: Warehouse,
    left_out: Sequence[str],
    timeframe: str,
    as_of: datetime,
) -> pd.DataFrame:
    """Versions trained while the catalogues lack some features."""
    catalogues = ("feature_catalog", "horizon_feature_catalog")
    names = {"names": list(left_out)}
    with warehouse.begin() as connection:
        for name in catalogues:
            for statement in (
                f"create table {{features}}.kept_{name} as "
                f"select * from {{features}}.{name}",
                f"delete from {{features}}.{name} where feature = any(:names)",
            ):
                connection.execute(sa.text(warehouse.sql(statement)), names)
    summary = train(
        warehouse,
        symbols=None,
        timeframes=[timeframe],
        as_of=as_of,
        promotion="never",
        n_jobs=2,
    )
    with warehouse.begin() as connection:
        for name in catalogues:
            for statement in (
                f"delete from {{features}}.{name}",
                f"insert into {{features}}.{name} "
                f"select * from {{features}}.kept_{name}",
                f"drop table {{features}}.kept_{name}",
            ):
                connection.execute(sa.text(warehouse.sql(statement)))
    return summary.results.dropna(subset=["version_id"])


def walk_symbols(
    warehouse: Warehouse, data: Timeframe, n_symbols: int
) -> list[str]:
    """Tickers that are trained every month, spread evenly over all."""
    tickers = read_frame(
        warehouse,
        """
        select distinct symbols.symbol_id, symbols.ticker
        from {raw}.symbols as symbols
        order by symbols.ticker
        """,
    )
    there = tickers[
        tickers["symbol_id"].isin(data.features["symbol_id"].unique())
    ]["ticker"].tolist()
    step = max(1, len(there) // n_symbols)
    return there[::step][:n_symbols]


def make_cell(
    name: str,
    data: Timeframe,
    bars: int,
    versions: pd.DataFrame,
    *,
    cut: np.datetime64,
    until: np.datetime64 | None,
    end: np.datetime64,
) -> Cell | None:
    """Rows that closed since the cut, and climatology as known at it."""
    labels = data.labels[data.labels["horizon_bars"] == bars]
    table = labels.merge(
        data.features[[*KEYS, "session_date", "closed_at"]], on=KEYS
    )
    y = table["label"].map({name: i for i, name in enumerate(CLASSES)})
    table = table.assign(y=y.to_numpy(dtype=np.int64))
    closed = naive(table["closed_at"])
    ended = naive(table["label_end_at"])
    known = table[ended <= cut]
    is_scored = (closed >= cut) & (ended <= naive_value(end))
    if until is not None:
        is_scored &= closed < until
    is_scored &= table["symbol_id"].isin(versions["symbol_id"]).to_numpy()
    rows = table[is_scored].sort_values(KEYS).reset_index(drop=True)
    if rows.empty or known.empty:
        return None
    weights = 1 / known.groupby("bar_number")["y"].transform("size").to_numpy()
    every = np.bincount(known["y"], weights=weights, minlength=3)
    every = every / every.sum()
    shares = {
        symbol_id: shrunken_shares(
            group.to_numpy(), n_effective=len(group) / bars, prior_shares=every
        )
        for symbol_id, group in known.groupby("symbol_id")["y"]
    }
    climatology = np.stack(
        [shares.get(symbol_id, every) for symbol_id in rows["symbol_id"]]
    )
    rows["session"] = pd.factorize(rows["session_date"], sort=True)[0]
    return Cell(
        name,
        rows,
        climatology,
        max(BLOCK_SESSIONS, -(-bars // data.session_bars)),
    )


def add_ensembles(
    warehouse: Warehouse,
    cell: Cell,
    versions: pd.DataFrame,
    data: Timeframe,
    bars: int,
    left_out: Sequence[str] = (),
) -> None:
    """What the trained ensembles and their members say.

    Of ensembles trained with features left out, they alone.
    """
    table = cell.rows[[*KEYS, *data.horizon_feature_names]].merge(
        data.features, on=KEYS, how="left"
    )
    horizon = data.labels.loc[
        data.labels["horizon_bars"] == bars, "horizon"
    ].iloc[0]
    by_symbol = versions.drop_duplicates("symbol_id").set_index("symbol_id")
    for symbol_id, places in cell.rows.groupby("symbol_id").indices.items():
        ensemble = load_ensemble(
            warehouse, by_symbol.loc[symbol_id, "version_id"]
        )
        names = [*data.row_feature_names, *data.horizon_feature_names]
        ensemble.check_features(
            [name for name in names if name not in left_out]
        )
        X = table.loc[places, list(ensemble.feature_names)].to_numpy(np.float64)
        part = ensemble.horizons[horizon]
        with threadpool_limits(limits=1):
            said = part.member_probabilities(X)
        combined = part.combine(said)
        arms = {WITHOUT: combined} if left_out else {**said, ENSEMBLE: combined}
        for name, P in arms.items():
            arm = cell.arms.setdefault(name, np.full((len(table), 3), np.nan))
            arm[places] = P


def add_references(
    cell: Cell, data: Timeframe, bars: int, cut: datetime
) -> None:
    """What is to be beaten, fitted on everything known at the cut."""
    labels = data.labels[data.labels["horizon_bars"] == bars]
    table = labels.merge(data.features, on=KEYS).merge(
        data.indicators, on=KEYS, suffixes=("", "_indicator")
    )
    indicators = [
        f"{name}_indicator" if name in data.row_feature_names else name
        for name in data.indicator_names
    ]
    table = table[
        naive(table["label_end_at"]) <= np.datetime64(cut.replace(tzinfo=None))
    ].sort_values(KEYS)
    y = table["label"].map({name: i for i, name in enumerate(CLASSES)})
    y = y.to_numpy(dtype=np.int64)
    scored = cell.rows[KEYS].merge(data.features, on=KEYS, how="left")
    with_indicators = cell.rows[KEYS].merge(
        data.indicators, on=KEYS, how="left"
    )
    with threadpool_limits(limits=2):
        booster = HistGradientBoostingClassifier(
            max_iter=100,
            learning_rate=0.03,
            max_leaf_nodes=15,
            min_samples_leaf=500,
            early_stopping=False,
            random_state=RANDOM_STATE,
        ).fit(table[indicators].to_numpy(dtype=np.float32), y)
        cell.arms[BOOSTER] = booster.predict_proba(
            with_indicators[data.indicator_names].to_numpy(dtype=np.float32)
        )
    if data.session_bars > 1:
        cell.arms["place_in_session"] = shares_by_place(
            table["place_in_session"], y, scored["place_in_session"]
        )
    plain = np.full((len(scored), 3), np.nan)
    symbols = np.sort(cell.rows["symbol_id"].unique())
    for symbol_id in symbols[:: max(1, len(symbols) // PLAIN_SERIES)][
        :PLAIN_SERIES
    ]:
        own = (table["symbol_id"] == symbol_id).to_numpy()
        places = np.flatnonzero(cell.rows["symbol_id"] == symbol_id)
        X = table.loc[own, data.row_feature_names].to_numpy()[-PLAIN_ROWS:]
        labels_of = y[own][-PLAIN_ROWS:]
        if len(np.unique(labels_of)) < len(CLASSES):
            continue
        forest = RandomForestClassifier(
            200, max_depth=15, random_state=RANDOM_STATE, n_jobs=2
        ).fit(X, labels_of)
        boosting = GradientBoostingClassifier(
            n_estimators=100, max_depth=7, random_state=RANDOM_STATE
        ).fit(X, labels_of)
        X_scored = scored.loc[places, data.row_feature_names].to_numpy()
        plain[places] = (
            forest.predict_proba(X_scored) + boosting.predict_proba(X_scored)
        ) / 2
    cell.arms["plain_recipe"] = plain


def shares_by_place(
    place: pd.Series, y: np.ndarray, scored: pd.Series
) -> np.ndarray:
    """Class shares at each place in the session."""
    one_hot = pd.DataFrame(np.eye(3)[y], index=place.round(6).to_numpy())
    shares = one_hot.groupby(level=0).mean()
    found = shares.reindex(scored.round(6).to_numpy()).to_numpy()
    return np.where(np.isnan(found), one_hot.mean().to_numpy(), found)


def join(first: Cell, second: Cell) -> Cell:
    """Rows of both, blocks counted anew."""
    rows = pd.concat([first.rows, second.rows], ignore_index=True)
    rows["session"] = pd.factorize(rows["session_date"], sort=True)[0]
    names = [name for name in first.arms if name in second.arms]
    return Cell(
        first.name,
        rows,
        np.concatenate([first.climatology, second.climatology]),
        first.block_sessions,
        {
            name: np.concatenate([first.arms[name], second.arms[name]])
            for name in names
        },
    )


# Reporting


def report(cell: Cell, key: str) -> dict[str, float]:
    """Print one cell's table and return the ensemble's figures, in percent."""
    y = cell.rows["y"].to_numpy()
    blocks = (cell.rows["session"] // cell.block_sessions).to_numpy()
    print(
        f"\n{cell.name}: {len(y)} rows of {cell.rows['symbol_id'].nunique()} "
        f"series, {cell.rows['session_date'].min()} to "
        f"{cell.rows['session_date'].max()}, majority share "
        f"{np.bincount(y).max() / len(y):.3f}, {len(np.unique(blocks))} blocks"
    )
    print(
        f"{'arm':28}{'skill %':>9}{'+-':>7}{'direct.':>9}{'accur.':>8}"
        f"{'balanced':>10}{'Brier':>8}{'calibr.':>9}{'rows':>9}"
    )
    losses = {}
    for name, P in cell.arms.items():
        covered = ~np.isnan(P).any(axis=1)
        losses[name] = np.where(covered, 0.0, np.nan)
        losses[name][covered] = log_losses(P[covered], y[covered])
        print(
            describe(name, P, y, cell.climatology, blocks, covered), flush=True
        )
    of_climatology = log_losses(cell.climatology, y)
    ensemble = losses[ENSEMBLE]
    figures = {
        f"skill_{key}": 100 * skill(ensemble, of_climatology),
        f"skill_se_{key}": 100
        * skill_standard_error(ensemble, of_climatology, blocks),
    }
    figures[f"direction_skill_{key}"] = 100 * direction_skill(
        cell.arms[ENSEMBLE], y, cell.climatology
    )
    scale = 100 / of_climatology.mean()
    if BOOSTER in losses:
        gain = losses[BOOSTER] - ensemble
        figures[f"gain_over_booster_{key}"] = scale * gain.mean()
        figures[f"gain_se_{key}"] = scale * block_standard_error(gain, blocks)
    if WITHOUT in losses:
        gain = losses[WITHOUT] - ensemble
        figures[f"gain_of_features_{key}"] = scale * gain.mean()
        figures[f"gain_of_features_se_{key}"] = scale * block_standard_error(
            gain, blocks
        )
    members = {
        name: loss
        for name, loss in losses.items()
        if name not in OTHER_ARMS and not np.isnan(loss).any()
    }
    best = min(members, key=lambda name: members[name].mean())
    behind = ensemble - members[best]
    figures[f"behind_best_member_{key}"] = scale * behind.mean()
    figures[f"behind_se_{key}"] = scale * block_standard_error(behind, blocks)
    print(
        f"best member {best}; the ensemble is behind it by "
        f"{scale * behind.mean():+.3f} +- "
        f"{scale * block_standard_error(behind, blocks):.3f} points"
    )
    return figures


def describe(
    name: str,
    P: np.ndarray,
    y: np.ndarray,
    climatology: np.ndarray,
    blocks: np.ndarray,
    covered: np.ndarray,
) -> str:
    """One line of the table, on the rows that the arm covers."""
    P, y, climatology = P[covered], y[covered], climatology[covered]
    losses, of_climatology = log_losses(P, y), log_losses(climatology, y)
    error = skill_standard_error(losses, of_climatology, blocks[covered])
    recalls = [
        (P[y == code].argmax(axis=1) == code).mean()
        for code in range(3)
        if (y == code).any()
    ]
    return (
        f"{name:28}{100 * skill(losses, of_climatology):9.3f}{100 * error:7.3f}"
        f"{100 * direction_skill(P, y, climatology):9.3f}"
        f"{accuracy(P, y):8.3f}{np.mean(recalls):10.3f}"
        f"{brier_score(P, y):8.4f}{calibration_error(P, y):9.4f}{len(y):9d}"
    )


def direction_skill(
    P: np.ndarray, y: np.ndarray, climatology: np.ndarray
) -> float:
    """Skill of up against down among rows that moved."""
    moved = y != NEUTRAL
    is_up = (y[moved] == BULLISH).astype(np.int64)

    def losses(P: np.ndarray) -> np.ndarray:
        up = P[moved, BULLISH] / (1 - P[moved, NEUTRAL])
        up = np.clip(up, 1e-6, 1 - 1e-6)
        return -np.log(np.where(is_up == 1, up, 1 - up))

    return skill(losses(P), losses(climatology))


def calibration_error(P: np.ndarray, y: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over bins of confidence.

    References
    ----------
    Guo, C. et al. (2017). On calibration of modern neural networks. ICML.
    """
    confidence = P.max(axis=1)
    right = P.argmax(axis=1) == y
    bins = np.minimum(
        (confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1
    )
    return float(
        sum(
            abs(right[bins == code].sum() - confidence[bins == code].sum())
            for code in np.unique(bins)
        )
        / len(y)
    )


def summarise(figures: dict[str, float]) -> None:
    """Say over all cells what is asked of the ensemble."""
    for mode in MODES:
        skills = {
            name.removeprefix("skill_"): value
            for name, value in figures.items()
            if name.startswith(f"skill_{mode}_")
        }
        if not skills:
            continue
        gains = [
            (value, figures[name.replace("gain_over_booster_", "gain_se_")])
            for name, value in figures.items()
            if name.startswith(f"gain_over_booster_{mode}_")
        ]
        behind = [
            figures[f"behind_best_member_{key}"] <= figures[f"behind_se_{key}"]
            for key in skills
        ]
        print(
            f"\n{mode}: mean skill {np.mean(list(skills.values())):+.3f}% over "
            f"{len(skills)} cells, lowest {min(skills.values()):+.3f}%; gain "
            f"over the ordinary booster above 0 in "
            f"{sum(gain > 0 for gain, _ in gains)} of {len(gains)}, above its "
            f"standard error in {sum(gain > se for gain, se in gains)}; within "
            f"a standard error of the best member in {sum(behind)} of "
            f"{len(behind)}"
        )


def as_time(moment: Any) -> datetime:
    """A numpy or pandas time as UTC datetime."""
    stamp = pd.Timestamp(moment)
    if stamp.tzinfo is None:
        stamp = stamp.tz_localize("UTC")
    return stamp.tz_convert("UTC").to_pydatetime()


def naive(times: pd.Series) -> np.ndarray:
    """UTC times without a zone."""
    return (
        times.dt.tz_convert("UTC")
        .dt.tz_localize(None)
        .to_numpy("datetime64[us]")
    )


def naive_value(moment: Any) -> np.datetime64:
    """The same of one time."""
    return np.datetime64(as_time(moment).replace(tzinfo=None), "us")


if __name__ == "__main__":
    sys.exit(main())
