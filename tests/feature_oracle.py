"""Grid, bars, features and labels once more in pandas, for SQL to agree with.

Written from the definitions in the feature descriptions, with nothing shared
with the SQL: here a window is a row of a matrix and a session profile a matrix
of sessions by places, there both are differences of running sums. Arrays are
dense: one entry for each grid bar from a series' first bar to its last, the
last close where a short hole is carried, NaN in a longer one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

TIMEFRAMES = ("m15", "h1", "h4", "d1", "w1")
MINUTES = {"m15": 15, "h1": 60, "h4": 240}
HORIZON_BARS = {
    "m15": {"1h": 4, "4h": 16, "1d": 26},
    "h1": {"4h": 4, "1d": 7, "5d": 35},
    "h4": {"1d": 2, "5d": 10, "20d": 40},
    "d1": {"1d": 1, "5d": 5, "20d": 20},
    "w1": {"20d": 4, "60d": 12, "120d": 24},
}
PRICES = ["open", "high", "low", "close"]
HIGHER_FEATURES = [
    "return_1",
    "return_5",
    "return_20",
    "volatility_ratio_5_20",
    "distance_from_average_20",
    "range_place_20",
    "rsi_14",
]
HIGHER_SHARES = {"higher_range_place_20", "higher_rsi_14"}

LONGEST = 60
HIGHER_LONGEST = 20
WINDOWS = (5, 10, 14, 20, 60)
PROFILE_MOVES, PROFILE_SESSIONS = 20, 40
RECENT_MOVES, PLACES_AHEAD = 5, 4
FLOOR = 1e-5
MAX_HOLE_BARS = {"m15": 8, "h1": 4, "h4": 2, "d1": 3, "w1": 2}
MIN_WINDOW_SHARE, MIN_PARTS_SHARE = 0.8, 0.6
VOLATILITY_MULTIPLE = 0.43
CLASSES = {-1.0: "BEARISH", 0.0: "NEUTRAL", 1.0: "BULLISH"}

Grid = Mapping[str, pd.DataFrame]


# Grid


def make_grid(sessions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Every bar of one calendar, by timeframe, in order.

    Parameters
    ----------
    sessions : DataFrame
        session_date, opened_at and closed_at of all sessions of the calendar.
    """
    days = sessions.sort_values("session_date", ignore_index=True)
    dates = pd.to_datetime(days["session_date"])
    days = days.assign(
        session_date=dates,
        session_number=range(1, len(days) + 1),
        w1_bar_number=pd.factorize(dates.dt.to_period("W-SUN"))[0] + 1,
    )
    # More sessions of the calendar's last week may become known.
    last_week = days["w1_bar_number"].max()
    days["w1_bar_number"] = days["w1_bar_number"].where(
        days["w1_bar_number"] < last_week
    )
    grid = {name: _intraday_grid(days, name) for name in MINUTES}
    grid["d1"] = days.assign(
        bar_number=days["session_number"], place_in_session=1, session_bars=1
    )
    by_week = days.dropna(subset="w1_bar_number").groupby("w1_bar_number")
    grid["w1"] = (
        by_week.agg(
            session_date=("session_date", "last"),
            session_number=("session_number", "last"),
            opened_at=("opened_at", "first"),
            closed_at=("closed_at", "last"),
        )
        .rename_axis("bar_number")
        .reset_index()
        .astype({"bar_number": int})
        .assign(place_in_session=1, session_bars=1)
    )
    for n, timeframe in enumerate(TIMEFRAMES):
        for coarser in TIMEFRAMES[1 : n + 1]:
            grid[timeframe][f"{coarser}_bar_number"] = np.nan
        if n + 1 < len(TIMEFRAMES):
            grid[timeframe] = _with_last_closed(
                grid[timeframe], grid[TIMEFRAMES[n + 1]]
            )
        else:
            grid[timeframe]["higher_bar_number"] = np.nan
    return grid


def _intraday_grid(days: pd.DataFrame, timeframe: str) -> pd.DataFrame:
    length = pd.Timedelta(minutes=MINUTES[timeframe])
    bars_of = _bars_in_sessions(days, timeframe)
    bars = days.loc[days.index.repeat(bars_of)].reset_index(drop=True)
    place = bars.groupby("session_number").cumcount() + 1
    opened_at = bars["opened_at"] + (place - 1) * length
    session = bars["session_number"].to_numpy() - 1
    bars = bars.assign(
        bar_number=range(1, len(bars) + 1),
        place_in_session=place,
        session_bars=bars_of[session],
        opened_at=opened_at,
        closed_at=np.minimum(opened_at + length, bars["closed_at"]),
        d1_bar_number=bars["session_number"],
    )
    for coarser in ("h1", "h4"):
        first = np.cumsum(_bars_in_sessions(days, coarser))
        first -= _bars_in_sessions(days, coarser)
        minutes = (place - 1) * MINUTES[timeframe]
        bars[f"{coarser}_bar_number"] = (
            first[session] + minutes // MINUTES[coarser] + 1
        )
    return bars


def _bars_in_sessions(days: pd.DataFrame, timeframe: str) -> NDArray[np.int64]:
    lengths = days["closed_at"] - days["opened_at"]
    bars = lengths / pd.Timedelta(minutes=MINUTES[timeframe])
    return np.ceil(bars.to_numpy()).astype(np.int64)


def _with_last_closed(bars: pd.DataFrame, higher: pd.DataFrame) -> pd.DataFrame:
    """Add the last bar of `higher` that has closed when each bar closes."""
    closed = higher[["closed_at", "bar_number"]]
    return pd.merge_asof(
        bars,
        closed.rename(columns={"bar_number": "higher_bar_number"}),
        on="closed_at",
    )


# Bars


def adjusted_prices(
    bars: pd.DataFrame, adjustments: pd.DataFrame
) -> pd.DataFrame:
    """Bars of one symbol divided by the factors in force at their close.

    Adds adjusted_open, ..., adjusted_volume, price_factor and split_factor.
    """
    price_factor = np.ones(len(bars))
    split_factor = np.ones(len(bars))
    for event in adjustments.itertuples():
        is_after = (bars["closed_at"] > event.effective_at).to_numpy()
        price_factor[is_after] *= event.factor
        if event.kind == "split":
            split_factor[is_after] *= event.factor
    return bars.assign(
        price_factor=price_factor,
        split_factor=split_factor,
        **{f"adjusted_{name}": bars[name] / price_factor for name in PRICES},
        adjusted_volume=bars["volume"] * split_factor,
    )


def make_bars(adjusted: pd.DataFrame, grid: Grid) -> dict[str, pd.DataFrame]:
    """Bars of one symbol by timeframe: loaded, else rolled up.

    Parameters
    ----------
    adjusted : DataFrame
        Loaded bars of all timeframes, from `adjusted_prices`.
    grid : mapping of str to DataFrame
        From `make_grid`, of the symbol's calendar.
    """
    bars: dict[str, pd.DataFrame] = {}
    loaded = [name for name in TIMEFRAMES if name in set(adjusted["timeframe"])]
    for n, timeframe in enumerate(TIMEFRAMES):
        finer = [name for name in loaded if name in TIMEFRAMES[:n]]
        if timeframe in loaded:
            own = adjusted[adjusted["timeframe"] == timeframe]
            bars[timeframe] = _placed(
                own.drop(columns="closed_at"), grid[timeframe], "opened_at"
            ).assign(rolled_up_from=None, n_parts=None, n_grid_parts=None)
        elif finer:
            bars[timeframe] = _rolled_up(
                bars[finer[-1]], timeframe, grid, finer[-1]
            ).assign(rolled_up_from=finer[-1])
    return bars


def _placed(bars: pd.DataFrame, grid: pd.DataFrame, key: str) -> pd.DataFrame:
    placed = grid.merge(bars, on=key, how="inner", validate="1:1")
    return placed.sort_values("bar_number", ignore_index=True)


def _rolled_up(
    parts: pd.DataFrame, timeframe: str, grid: Grid, finer: str
) -> pd.DataFrame:
    """Bars put together from parts, where the last and enough others are."""
    whole = f"{timeframe}_bar_number"
    n_parts = grid[finer].groupby(whole).size()
    last_parts = grid[finer].groupby(whole)["bar_number"].last()
    grouped = parts.groupby(whole)
    rolled = grouped.agg(
        adjusted_open=("adjusted_open", "first"),
        adjusted_high=("adjusted_high", "max"),
        adjusted_low=("adjusted_low", "min"),
        adjusted_close=("adjusted_close", "last"),
        adjusted_volume=("adjusted_volume", "sum"),
        price_factor=("price_factor", "last"),
        split_factor=("split_factor", "last"),
        n_parts=("bar_number", "size"),
        last_part=("bar_number", "last"),
    )
    rolled["n_grid_parts"] = n_parts.reindex(rolled.index)
    is_enough = rolled["n_parts"] / rolled["n_grid_parts"] >= MIN_PARTS_SHARE
    is_closed = rolled["last_part"] == last_parts.reindex(rolled.index)
    rolled = rolled[is_enough & is_closed].drop(columns="last_part")
    for name in PRICES:
        rolled[name] = rolled[f"adjusted_{name}"] * rolled["price_factor"]
    rolled["volume"] = rolled["adjusted_volume"] / rolled["split_factor"]
    return _placed(
        rolled.rename_axis("bar_number").reset_index(),
        grid[timeframe],
        "bar_number",
    )


# Expected volatility


@dataclass(frozen=True)
class Series:
    """One series on the dense grid: entry i is bar number `first + i`.

    Parameters
    ----------
    bars : DataFrame of shape (n_bars, ...)
        Columns of the grid, and the bar's own: carried, with the last close,
        no range and no volume, or NaN where it is missing.
    is_there : ndarray of bool of shape (n_bars,)
        Whether the series has the bar.
    grid : DataFrame
        The timeframe's whole grid.
    n_places : int
        Bars in a full session.
    """

    bars: pd.DataFrame
    is_there: Booleans
    grid: pd.DataFrame
    n_places: int

    @classmethod
    def of(
        cls, bars: pd.DataFrame, grid: pd.DataFrame, *, max_hole_bars: int
    ) -> "Series":
        first, last = bars["bar_number"].min(), bars["bar_number"].max()
        own = [name for name in bars if name not in grid]
        dense = grid[grid["bar_number"].between(first, last)].merge(
            bars[["bar_number", *own]], on="bar_number", how="left"
        )
        is_there = dense["adjusted_close"].notna()
        n_missing = (~is_there).groupby(is_there.cumsum()).transform("sum")
        is_carried = ~is_there & (n_missing <= max_hole_bars)
        last_close = dense["adjusted_close"].ffill()
        for name in PRICES:
            column = f"adjusted_{name}"
            dense[column] = dense[column].where(~is_carried, last_close)
        dense.loc[is_carried, "adjusted_volume"] = 0.0
        return cls(
            dense,
            is_there.to_numpy(),
            grid,
            int(grid["session_bars"].max()),
        )

    @property
    def is_known(self) -> Booleans:
        """Whether the series has the bar or carries it."""
        return self.bars["adjusted_close"].notna().to_numpy()

    @property
    def bars_spanned(self) -> Floats:
        """Bars since the last observed one, itself included."""
        number = np.arange(len(self.is_there), dtype=float)
        last = pd.Series(np.where(self.is_there, number, np.nan)).ffill()
        return _change_since(number, last.to_numpy())

    @property
    def move(self) -> Floats:
        """Log return since the last observed bar, in units of one bar."""
        whole = _change(np.log(self.bars["adjusted_close"].to_numpy()), 1)
        return whole / np.sqrt(self.bars_spanned)

    def mean(self, values: Floats, bars: int) -> Floats:
        """Mean over those of the last bars that were observed."""
        seen = np.where(
            self.is_there, values, np.where(self.is_known, 0.0, np.nan)
        )
        counts = _last(self.is_there.astype(float), bars).sum(axis=1)
        return _last(seen, bars).sum(axis=1) / np.where(
            counts > 0, counts, np.nan
        )

    def is_whole(self, bars: int, windows: Sequence[int]) -> Booleans:
        """Whether the last bars are known and enough of them observed.

        The bar before them is the first that a move starts from.
        """
        known = _is_whole(self.is_known, bars + 1)
        for window in windows:
            share = _last(self.is_there.astype(float), window).mean(axis=1)
            known &= np.nan_to_num(share) >= MIN_WINDOW_SHARE - 1e-12
        return known

    def places_ahead(self, bars: int) -> NDArray[np.int64]:
        """Place in its session of the grid bar so many bars ahead."""
        places = self.grid["place_in_session"].to_numpy()
        return places[self.bars["bar_number"].to_numpy() - 1 + bars]


@dataclass(frozen=True)
class Scale:
    """What was expected of a series, as of each of its bars.

    Parameters
    ----------
    by_place : ndarray of shape (n_bars, n_places)
        Variance of a bar at each place in the session; NaN where unknown.
    own : ndarray of shape (n_bars,)
        That at the bar's own place: V.
    session : ndarray of shape (n_bars,)
        That of a whole session: C.
    recent_by_place, range_by_place : ndarray of shape (n_bars, n_places)
        As `by_place`, of the latest 5 moves, and of squared log ranges.
    """

    by_place: Floats
    own: Floats
    session: Floats
    recent_by_place: Floats
    range_by_place: Floats

    def of_last(self, bars: int) -> Floats:
        """Variance that was expected of the last bars: E_k."""
        n_places = self.by_place.shape[1]
        if bars < n_places:
            return _last(self.own, bars).sum(axis=1)
        return self.session * bars / n_places

    def of_next(self, bars: int, series: Series) -> Floats:
        """Variance to expect of the next bars of the grid."""
        row = np.arange(len(self.own))
        known = np.nan_to_num(self.by_place)
        total = np.zeros(len(self.own))
        for ahead in range(1, bars + 1):
            total += known[row, series.places_ahead(ahead) - 1]
        return np.where(np.isnan(self.session), np.nan, total)


def make_scale(series: Series) -> Scale:
    """Measure what can be expected, as of each bar."""
    squared = series.move**2
    if series.n_places == 1:
        variance = np.where(
            series.is_whole(20, [20]), series.mean(squared, 20), np.nan
        )
        by_place = variance[:, np.newaxis]
        return Scale(by_place, variance, variance, by_place, by_place)

    place = series.bars["place_in_session"].to_numpy()
    number = series.bars["session_number"].to_numpy()
    session = number - number[0]
    places = np.arange(1, series.n_places + 1)
    has_been = places <= place[:, np.newaxis]

    def table(values: Floats) -> Floats:
        cells = np.full((session[-1] + 1, series.n_places), np.nan)
        cells[session, place - 1] = values
        return cells

    def known(profile: Floats) -> Floats:
        """Of a place yet to come in the session yesterday's is known."""
        unknown = np.full(series.n_places, np.nan)
        yesterday = np.vstack([unknown, profile])[session]
        return np.where(has_been, profile[session], yesterday)

    # Of bars on both sides of a hole no place of a session can be told.
    is_move = series.is_there & (series.bars_spanned == 1)
    moves = table(np.where(is_move, squared, np.nan))
    squared_range = (
        np.log(series.bars["adjusted_high"] / series.bars["adjusted_low"]) ** 2
    )
    by_place = known(session_profile(moves))
    own = by_place[np.arange(len(place)), place - 1]
    is_known = ~np.isnan(_last(own, series.n_places)).any(axis=1)
    return Scale(
        by_place,
        own,
        np.where(is_known, np.nansum(by_place, axis=1), np.nan),
        known(session_profile(moves, n_latest=RECENT_MOVES)),
        known(session_profile(moves, table(squared_range.to_numpy()))),
    )


def session_profile(
    squared_moves: Floats,
    values: Floats | None = None,
    n_latest: int = PROFILE_MOVES,
) -> Floats:
    """Mean of the latest 20 squared moves at each place, as of each session.

    Parameters
    ----------
    squared_moves : ndarray of shape (n_sessions, n_places)
        NaN where there was no move.
    values : ndarray of shape (n_sessions, n_places), optional
        What to take the mean of, of the bars with these 20 moves.
    n_latest : int
        How many of the 20 to take it of.

    Returns
    -------
    ndarray of shape (n_sessions, n_places)
        NaN where there were fewer than 20 in the last 40 sessions.

    Examples
    --------
    >>> moves = np.arange(25.0).reshape(25, 1)
    >>> session_profile(moves)[[18, 19, 24], 0]
    array([ nan,  9.5, 14.5])
    """
    if values is None:
        values = squared_moves
    profile = np.full_like(squared_moves, np.nan)
    for place in range(squared_moves.shape[1]):
        column = squared_moves[:, place]
        moved = np.flatnonzero(~np.isnan(column))
        for session in range(len(column)):
            latest = moved[moved <= session][-PROFILE_MOVES:]
            if (
                len(latest) == PROFILE_MOVES
                and latest[0] > session - PROFILE_SESSIONS
            ):
                profile[session, place] = values[
                    latest[-n_latest:], place
                ].mean()
    return profile


# Features


def own_features(series: Series, scale: Scale) -> pd.DataFrame:
    """Features of every grid bar from the series' own bars.

    Returns
    -------
    DataFrame, indexed by bar_number
        A column for each feature; NaN where it cannot be said.
    """
    opened, high, low, close, volume = (
        series.bars[f"adjusted_{name}"].to_numpy()
        for name in [*PRICES, "volume"]
    )
    log_close = np.log(close)
    move = series.move
    squared_range = np.log(high / low) ** 2
    body = np.log(close / opened)
    garman_klass = 0.5 * squared_range - (2 * np.log(2) - 1) * body**2
    has_volatility = scale.own > FLOOR**2

    def expected(bars: int) -> Floats:
        """Variance expected of the last bars, if any worth dividing by."""
        return np.where(has_volatility, scale.of_last(bars), np.nan)

    def volatility(bars: int) -> Floats:
        return np.sqrt(expected(bars))

    mean = series.mean

    def total(values: Floats, bars: int) -> Floats:
        """As many times the mean as there are bars."""
        return mean(values, bars) * bars

    def average(values: Floats, bars: int) -> Floats:
        """Over carried bars, too."""
        return _last(values, bars).mean(axis=1)

    def surprise(values: Floats, bars: int) -> Floats:
        """Log volatility against the expected."""
        return 0.5 * _log(total(values, bars) / expected(bars))

    features: dict[str, Floats] = {}
    features["return_1"] = move / volatility(1)
    for bars in (2, 5, 10, 20, 60):
        features[f"return_{bars}"] = _change(log_close, bars) / volatility(bars)
    for bars in (1, 5, 20):
        features[f"absolute_return_{bars}"] = mean(
            np.abs(move), bars
        ) / np.sqrt(expected(bars) / bars)
    spanned = series.bars_spanned
    features["previous_absolute_return_1"] = np.abs(
        np.where(spanned > 1, move, _ago(move, 1))
    ) / volatility(1)
    features["overnight_gap"] = (
        np.log(opened / _ago(close, 1)) / np.sqrt(spanned) / volatility(1)
    )
    for short, long in ((5, 20), (20, 60)):
        features[f"volatility_ratio_{short}_{long}"] = surprise(
            move**2, short
        ) - surprise(move**2, long)
        features[f"parkinson_ratio_{short}_{long}"] = surprise(
            squared_range, short
        ) - surprise(squared_range, long)
    features["garman_klass_ratio_5_20"] = surprise(garman_klass, 5) - surprise(
        garman_klass, 20
    )
    realized = total(move**2, 20)
    features["realized_to_expected_20"] = surprise(move**2, 20)
    features["parkinson_to_realized_20"] = 0.5 * (
        _log(total(squared_range, 20) / (4 * np.log(2))) - _log(realized)
    )
    features["garman_klass_to_realized_20"] = 0.5 * (
        _log(total(garman_klass, 20)) - _log(realized)
    )
    features["downside_share_20"] = _share(
        total(np.minimum(move, 0) ** 2, 20), realized
    )
    for bars in (5, 10, 20, 60):
        features[f"distance_from_average_{bars}"] = (
            log_close - np.log(average(close, bars))
        ) / volatility(bars)
    for bars in (5, 20, 60):
        highest = _last(high, bars).max(axis=1)
        lowest = _last(low, bars).min(axis=1)
        features[f"range_place_{bars}"] = _share(
            close - lowest, highest - lowest
        )
    features["rsi_14"] = _share(
        total(np.maximum(move, 0), 14), total(np.abs(move), 14)
    )
    for bars in (20, 60):
        features[f"trend_slope_{bars}"] = (
            _slope(log_close, bars) * bars / volatility(bars)
        )
    has_volume = mean(volume, 20) > 0
    for name, recent in (
        ("volume_ratio_20", volume),
        ("volume_ratio_5_20", mean(volume, 5)),
    ):
        features[name] = np.where(
            has_volume, _log(recent) - _log(mean(volume, 20)), 0.0
        )
    features["candle_body"] = body / volatility(1)
    features["candle_range"] = np.log(high / low) / volatility(1)
    features["upper_shadow"] = np.log(
        high / np.maximum(opened, close)
    ) / volatility(1)
    features["lower_shadow"] = np.log(
        np.minimum(opened, close) / low
    ) / volatility(1)
    closed_at = series.bars["closed_at"].dt
    features["minute_of_day"] = (
        closed_at.hour * 60 + closed_at.minute
    ).to_numpy(dtype=float)
    features["place_in_session"] = (
        series.bars["place_in_session"] / series.bars["session_bars"]
    ).to_numpy(dtype=float)
    features["place_volatility"] = 0.5 * _log(
        _share(scale.own * series.n_places, scale.session)
    )
    features |= places_ahead(series, scale)
    features["weekday"] = (
        series.bars["session_date"].dt.day_of_week + 1
    ).to_numpy(dtype=float)
    return pd.DataFrame(
        features, index=series.bars["bar_number"].to_numpy(dtype=int)
    )


def places_ahead(series: Series, scale: Scale) -> dict[str, Floats]:
    """Features of the places that come next in a full session."""
    names = [
        "ahead_place_volatility",
        "ahead_volatility_ratio_5_20",
        "ahead_parkinson_to_realized_20",
    ]
    if series.n_places == 1:
        return {name: np.zeros(len(scale.own)) for name in names}
    n_ahead = min(PLACES_AHEAD, series.n_places)
    place = series.bars["place_in_session"].to_numpy()[:, np.newaxis]
    next_places = (place - 1 + np.arange(1, n_ahead + 1)) % series.n_places

    def ahead(by_place: Floats) -> Floats:
        return np.take_along_axis(by_place, next_places, axis=1).mean(axis=1)

    expected = ahead(scale.by_place)
    against_session = np.zeros(len(scale.own))
    if n_ahead < series.n_places:
        against_session = 0.5 * _log(
            _share(expected * series.n_places, scale.session)
        )
    return dict(
        zip(
            names,
            [
                against_session,
                0.5 * _log(_share(ahead(scale.recent_by_place), expected)),
                0.5
                * _log(
                    _share(
                        ahead(scale.range_by_place), 4 * np.log(2) * expected
                    )
                ),
            ],
            strict=True,
        )
    )


def feature_rows(
    series: Mapping[str, Series], scales: Mapping[str, Scale]
) -> pd.DataFrame:
    """Features of one symbol's bars on all its timeframes.

    Returns
    -------
    DataFrame
        timeframe, bar_number, unusable_reason (None on usable rows),
        has_volume, higher_is_warm (None on the highest timeframe),
        n_carried_bars and the features, which unusable rows lack.
    """
    own = {name: own_features(series[name], scales[name]) for name in series}
    tables = []
    for timeframe, table in own.items():
        one, scale = series[timeframe], scales[timeframe]
        volume = one.bars["adjusted_volume"].to_numpy()
        has_volume = one.mean(volume, 20) > 0
        higher = TIMEFRAMES[TIMEFRAMES.index(timeframe) + 1 :][:1]
        if higher:
            name = higher[0]
            number = one.bars["higher_bar_number"]
            state = own[name][HIGHER_FEATURES].reindex(number)
            is_ready = (
                pd.Series(
                    series[name].is_there
                    & series[name].is_whole(HIGHER_LONGEST, WINDOWS[:-1])
                    & ~np.isnan(scales[name].session),
                    index=own[name].index,
                )
                .reindex(number, fill_value=False)
                .to_numpy()
            )
        else:
            state = pd.DataFrame(0.0, table.index, HIGHER_FEATURES)
            is_ready = None
        state = state.add_prefix("higher_").set_index(table.index)
        if higher:
            for name in state:
                neutral = 0.5 if name in HIGHER_SHARES else 0.0
                state[name] = np.where(is_ready, state[name], neutral)
        features = pd.concat([table, state], axis=1)
        reasons = {
            "warm_up": np.arange(len(table)) < LONGEST,
            "missing_bar": ~one.is_whole(LONGEST, WINDOWS),
            "no_volume": has_volume & (volume == 0),
            "session_profile_warm_up": np.isnan(scale.session)
            & (one.n_places > 1),
            "flat_window": ~(scale.own > FLOOR**2),
        }
        reason = np.select(
            [*reasons.values(), features.isna().any(axis=1).to_numpy()],
            [*reasons, "flat_window"],
            "",
        )
        features.loc[reason != ""] = np.nan
        rows = features.assign(
            timeframe=timeframe,
            unusable_reason=pd.Series(reason, features.index)
            .astype(object)
            .replace("", None),
            has_volume=has_volume,
            higher_is_warm=is_ready,
            n_carried_bars=LONGEST
            - _last(one.is_there.astype(float), LONGEST).sum(axis=1),
        )
        tables.append(rows[one.is_there].reset_index(names="bar_number"))
    return pd.concat(tables, ignore_index=True)


# Labels


def labels(
    series: Series,
    scale: Scale,
    *,
    horizon_bars: int,
    fixed_return: float | None = None,
) -> pd.DataFrame:
    """Labels of one series for one horizon.

    Parameters
    ----------
    fixed_return : float, optional
        Threshold of the rule `fixed_return`; without it the other rule holds.
    """
    close = np.log(series.bars["adjusted_close"].to_numpy())
    close[~series.is_there] = np.nan
    number = series.bars["bar_number"].to_numpy(dtype=int)
    padded = np.concatenate([close, np.full(horizon_bars, np.nan)])
    move = padded[horizon_bars:] - close
    variance = scale.of_next(horizon_bars, series)
    volatility = np.sqrt(
        np.where(variance > horizon_bars * FLOOR**2, variance, np.nan)
    )
    threshold = (
        VOLATILITY_MULTIPLE * volatility
        if fixed_return is None
        else np.full(len(close), fixed_return)
    )
    reason = np.select(
        [
            number + horizon_bars > number[-1],
            np.isnan(move),
            np.isnan(volatility),
        ],
        ["not_closed", "missing_bar", "no_volatility"],
        "",
    )
    side = np.sign(move) * (np.abs(move) > threshold)
    side[reason != ""] = np.nan
    ends_at = series.grid["closed_at"].iloc[number - 1 + horizon_bars]
    table = pd.DataFrame(
        {
            "bar_number": number,
            "label": pd.Series(side).map(CLASSES, na_action="ignore"),
            "label_return": np.where(reason == "", move, np.nan),
            "label_reason": pd.Series(reason).astype(object).replace("", None),
            "expected_volatility": volatility,
            "label_threshold": threshold,
            "label_end_bar_number": number + horizon_bars,
            "label_end_at": ends_at.to_numpy(),
        }
    )
    return table[series.is_there]


# Windows


def _last(values: Floats, bars: int) -> Floats:
    """The last values up to each bar, one row for each; NaN before the first.

    Examples
    --------
    >>> _last(np.array([1.0, 2.0, 3.0]), 2)
    array([[nan,  1.],
           [ 1.,  2.],
           [ 2.,  3.]])
    """
    padded = np.concatenate([np.full(bars - 1, np.nan), values])
    return sliding_window_view(padded, bars)


def _ago(values: Floats, bars: int) -> Floats:
    return np.concatenate([np.full(bars, np.nan), values])[: len(values)]


def _change(values: Floats, bars: int) -> Floats:
    return values - _ago(values, bars)


def _change_since(values: Floats, last: Floats) -> Floats:
    return values - _ago(last, 1)


def _is_whole(is_there: Booleans, bars: int) -> Booleans:
    """Whether none of the last bars is missing."""
    return np.nan_to_num(_last(is_there.astype(float), bars)).all(axis=1)


def _slope(values: Floats, bars: int) -> Floats:
    """Least-squares slope over the last bars."""
    place = np.arange(bars) - (bars - 1) / 2
    window = _last(values, bars)
    return (window - window[:, :1]) @ place / (place @ place)


def _log(values: Floats) -> Floats:
    return np.log(np.where(values > 0, values, np.nan))


def _share(part: Floats, whole: Floats) -> Floats:
    return part / np.where(whole != 0, whole, np.nan)
