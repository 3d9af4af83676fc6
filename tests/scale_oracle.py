"""The volatility of a forecast once more in pandas, for SQL to agree with.

Written from the description of the seed `forecast_scales`, over the dense
arrays of `feature_oracle`.
"""

import numpy as np

from tests.feature_oracle import (
    FLOOR,
    LONGEST,
    Floats,
    Scale,
    Series,
    _ago,
    _is_whole,
    _last,
    _log,
    _share,
    session_profile,
)

RECENT_BARS = {"m15": 4, "h1": 2, "h4": 1}
# Of the recent bars, a session, a week, the trend and the level.
WEIGHTS = {
    "m15": (
        (0.40, 0.40, 0.12, 0.10, -0.10),
        (0.25, 0.40, 0.13, 0.25, -0.15),
        (0.20, 0.33, 0.14, 0.30, -0.15),
    ),
    "h1": (
        (0.11, 0.40, 0.19, 0.25, -0.15),
        (0.14, 0.30, 0.20, 0.33, -0.15),
        (0.08, 0.20, 0.11, 0.40, -0.18),
    ),
    "h4": (
        (0.12, 0.15, 0.20, 0.35, -0.15),
        (0.06, 0.13, 0.11, 0.40, -0.18),
        (0.05, 0.05, 0.08, 0.50, -0.20),
    ),
    "d1": (
        (0.21, 0.18, 0.08, 0.34, -0.12),
        (0.15, 0.12, 0.09, 0.42, -0.15),
        (0.09, 0.08, 0.10, 0.55, -0.19),
    ),
    "w1": (
        (0.13, 0.20, 0.0, 0.33, -0.14),
        (0.08, 0.19, 0.0, 0.37, -0.18),
        (0.06, 0.16, 0.0, 0.46, -0.21),
    ),
}


def forecast_volatility(
    series: Series,
    scale: Scale,
    *,
    timeframe: str,
    horizon_place: int,
    horizon_bars: int,
) -> Floats:
    """Volatility to forecast of the bars ahead, as of each bar."""
    if series.n_places == 1:
        terms, ahead = _of_bars(series)
        variance = ahead * horizon_bars
    else:
        terms, profile = _of_sessions(series, scale, RECENT_BARS[timeframe])
        row = np.arange(len(series.is_there))
        variance = np.zeros(len(row))
        for step in range(1, horizon_bars + 1):
            variance += np.nan_to_num(profile)[
                row, series.places_ahead(step) - 1
            ]
    logs = terms @ np.array(WEIGHTS[timeframe][horizon_place])
    floor = horizon_bars * FLOOR**2
    return np.sqrt(np.maximum(variance, floor)) * np.exp(logs / 2)


def candles(series: Series) -> Floats:
    """Variance that each bar tells of; NaN where it was not observed."""
    opened, high, low, close = (
        np.log(series.bars[f"adjusted_{name}"].to_numpy())
        for name in ("open", "high", "low", "close")
    )
    gap = (opened - _ago(close, 1)) / np.sqrt(series.bars_spanned)
    found = (
        gap**2
        + (high - low) ** 2 / 2
        - (2 * np.log(2) - 1) * (close - opened) ** 2
    )
    return np.where(series.is_there, found, np.nan)


def _of_bars(series: Series) -> tuple[Floats, Floats]:
    found = candles(series)
    means = {bars: series.mean(found, bars) for bars in (1, 3, 8, 20, LONGEST)}
    is_longest_known = _is_whole(series.is_known, LONGEST + 1)
    long_mean = np.where(is_longest_known, means[LONGEST], np.nan)
    terms = np.column_stack(
        [
            *(
                _log_surprise(_share(means[bars], means[20]))
                for bars in (1, 3, 8)
            ),
            _neutral(_log(long_mean) - _log(means[20]), 0.0),
            _neutral(_log(means[20] * 1e4), 0.0),
        ]
    )
    return terms, means[20]


def _of_sessions(
    series: Series, scale: Scale, recent_bars: int
) -> tuple[Floats, Floats]:
    n_places = series.n_places
    place = series.bars["place_in_session"].to_numpy()
    number = series.bars["session_number"].to_numpy()
    session = number - number[0]

    def table(values: Floats) -> Floats:
        cells = np.full((session[-1] + 1, n_places), np.nan)
        cells[session, place - 1] = values
        return cells

    is_move = series.is_there & (series.bars_spanned == 1)
    moves = table(np.where(is_move, series.move**2, np.nan))
    by_place = table(np.where(is_move, candles(series), np.nan))
    profile = session_profile(moves, by_place)
    surprises = np.where(np.isnan(by_place), np.nan, _share(by_place, profile))
    flat = surprises.ravel()
    at = session * n_places + place - 1

    def mean_of_last(slots: int) -> Floats:
        return _mean_of_known(_last(flat, slots)[at])

    def level(sessions: int) -> Floats:
        before = np.vstack([np.full(n_places, np.nan), by_place])[:-1]
        windows = np.vstack(
            [
                np.resize(
                    np.pad(
                        before[max(row - sessions + 1, 0) : row + 1].ravel(),
                        (0, sessions * n_places),
                        constant_values=np.nan,
                    ),
                    sessions * n_places,
                )
                for row in range(len(before))
            ]
        )
        return _mean_of_known(windows)[session]

    # Of a place yet to come in the session yesterday's is known.
    has_been = np.arange(1, n_places + 1) <= place[:, np.newaxis]
    unknown = np.full(n_places, np.nan)
    yesterday = np.vstack([unknown, profile])[session]
    known = np.where(has_been, profile[session], yesterday)
    own_session = np.nansum(known, axis=1)
    session_level = _neutral(level(20) * n_places, own_session)
    terms = np.column_stack(
        [
            *(
                _log_surprise(mean_of_last(slots))
                for slots in (recent_bars, n_places, 5 * n_places)
            ),
            _neutral(_log(level(40)) - _log(level(20)), 0.0),
            _neutral(_log(session_level * 1e4), 0.0),
        ]
    )
    return terms, known


def _mean_of_known(rows: Floats) -> Floats:
    counts = (~np.isnan(rows)).sum(axis=1)
    return np.nansum(rows, axis=1) / np.where(counts > 0, counts, np.nan)


def _log_surprise(ratio: Floats) -> Floats:
    return np.log(_neutral(ratio, 1.0) + 0.05)


def _neutral(values: Floats, instead: Floats | float) -> Floats:
    return np.where(np.isfinite(values), values, instead)
