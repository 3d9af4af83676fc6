r"""Price bands: quantiles of past moves over the volatility that was forecast.

A *move* is a log return over a horizon divided by the volatility forecast of it
when the bar closed, so that moves of calm and of turbulent times, of quiet and
of wild symbols, compare. What moves of all series of a timeframe were like is
what the next one is given, without a distribution being assumed where there are
enough of them; how often outcomes have fallen below each end since then shifts
it, little by little.

Everything here is arithmetic on arrays. `band_walk` takes it through time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t

from python_ml.ensemble import BAND_LEVELS, FloatArray

# Both ends of every band, and the median between them.
PROBABILITIES = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
MEDIAN = PROBABILITIES.index(0.5)

# How moves are distributed as far as nothing is known yet.
PRIOR_DEGREES_OF_FREEDOM = 5
PRIOR_SCALE = 0.9
PRIOR_PERIODS = 5
N_PRIOR_MOVES = 200

# Times of a place in the session that say as much as all times together.
PLACE_PRIOR_TIMES = 20
# A longer session is divided where its bars begin to resemble each other.
MOST_SINGLE_PLACES = 12
PLACE_BOUNDARIES = (2 / 26, 4 / 26, 10 / 26, 16 / 26, 22 / 26)

# Outliers count for as much in a series' own scale, and its periods against
# those of all series.
LARGEST_SCALE_MOVE = 4.0
FACTOR_PRIOR_PERIODS = 100

STEP = 0.02
STEP_MULTIPLES = (3.0, 1.6, 1.2, 1.2, 1.2, 1.6, 3.0)


@dataclass(frozen=True, slots=True)
class Band:
    """Ends of one band, both of shape (n_samples,), in price."""

    lower: FloatArray
    upper: FloatArray


def place_groups(
    places: npt.NDArray[np.int64], session_bars: int
) -> npt.NDArray[np.int64]:
    """Group of each place in the session whose moves are taken together.

    Parameters
    ----------
    places : ndarray of int of shape (n,)
        From 1.
    session_bars : int
        Bars in a full session; 1 where a bar takes whole sessions.

    Returns
    -------
    ndarray of int of shape (n,)
        From 0: every place by itself up to 12 bars in a session, else six
        groups, short where the session begins and ends.

    Examples
    --------
    >>> place_groups(np.array([1, 7]), 7).tolist()
    [0, 6]
    >>> place_groups(np.array([1, 2, 3, 13, 26]), 26).tolist()
    [0, 0, 1, 3, 5]
    """
    if session_bars <= MOST_SINGLE_PLACES:
        return np.minimum(places, session_bars) - 1
    shares = (places - 0.5) / session_bars
    groups: npt.NDArray[np.int64] = np.digitize(shares, PLACE_BOUNDARIES)
    return groups


def count_place_groups(session_bars: int) -> int:
    """Number of groups that `place_groups` makes of a session."""
    if session_bars <= MOST_SINGLE_PLACES:
        return session_bars
    return len(PLACE_BOUNDARIES) + 1


def scale_factors(moves: FloatArray, *, horizon_bars: int) -> FloatArray:
    r"""What each series' moves are larger by than those of all series.

    .. math:: \left(\frac{\overline{|z_s|}}{\overline{|z|}}\right)^{n/(n+100)}

    with the mean absolute moves of the series and of all, each at most 4, and n
    the periods of the horizon that the series' moves cover.

    Parameters
    ----------
    moves : ndarray of shape (n_times, n_series)
        NaN where there is none.
    horizon_bars : int

    Returns
    -------
    ndarray of shape (n_series,)
        Above 0; 1 for a series that has no moves.

    Examples
    --------
    >>> moves = np.array([[1.0, 3.0, np.nan]] * 100)
    >>> scale_factors(moves, horizon_bars=1).round(3).tolist()
    [0.707, 1.225, 1.0]
    """
    sizes = np.minimum(np.abs(moves), LARGEST_SCALE_MOVE)
    known = np.isfinite(sizes)
    counts = known.sum(axis=0)
    totals = np.where(known, sizes, 0.0).sum(axis=0)
    # Without those that have none, so that these change no digit of the sum.
    of_all = totals[counts > 0].sum()
    if of_all == 0:
        return np.ones(moves.shape[1])
    ratios = totals / np.maximum(counts, 1) / (of_all / counts.sum())
    periods = counts / horizon_bars
    # One that never moved is not known to be without any volatility.
    return np.where(
        ratios > 0, ratios ** (periods / (periods + FACTOR_PRIOR_PERIODS)), 1.0
    )


def pooled_quantiles(
    moves: FloatArray,
    groups: npt.NDArray[np.int64],
    *,
    horizon_bars: int,
    n_groups: int,
) -> FloatArray:
    """Quantiles of the moves of all series, by group of places.

    Every time counts for one, however many series have a move there, and five
    horizons' worth of times of a prior distribution beside them. The moves of a
    group count against those of all groups by its number of times and 20.

    Parameters
    ----------
    moves : ndarray of shape (n_times, n_series)
        In units of the volatility forecast; NaN where there is none.
    groups : ndarray of int of shape (n_times,)
        From `place_groups`.
    horizon_bars : int
    n_groups : int

    Returns
    -------
    ndarray of shape (n_groups, 7)
        At `PROBABILITIES`, ascending in each row.

    Examples
    --------
    >>> nothing = np.full((3, 2), np.nan)
    >>> pooled_quantiles(
    ...     nothing, np.zeros(3, dtype=int), horizon_bars=1, n_groups=1
    ... ).round(2).tolist()
    [[-2.32, -1.33, -0.65, -0.0, 0.65, 1.33, 2.32]]
    """
    known = np.isfinite(moves)
    per_time = known.sum(axis=1)
    time_weights = np.divide(
        1.0, per_time, out=np.zeros(len(moves)), where=per_time > 0
    )
    times, _ = np.nonzero(known)
    values = np.concatenate([moves[known], _prior_moves()])
    # Equal moves in the order that they stand in, whatever sorted them.
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    weights = np.concatenate(
        [
            time_weights[times],
            np.full(
                N_PRIOR_MOVES, PRIOR_PERIODS * horizon_bars / N_PRIOR_MOVES
            ),
        ]
    )[order]
    group_of = np.concatenate(
        [groups[times], np.full(N_PRIOR_MOVES, -1, dtype=np.int64)]
    )[order]
    overall = weights / weights.sum()
    quantiles = np.empty((n_groups, len(PROBABILITIES)))
    for group in range(n_groups):
        mixed = overall
        n_times = int((per_time[groups == group] > 0).sum())
        if n_groups > 1 and n_times > 0:
            own = np.where(group_of == group, weights, 0.0)
            mixed = (
                n_times * own / own.sum() + PLACE_PRIOR_TIMES * overall
            ) / (n_times + PLACE_PRIOR_TIMES)
        # A move stands in the middle of what it weighs.
        quantiles[group] = np.interp(
            PROBABILITIES, np.cumsum(mixed) - mixed / 2, ordered
        )
    return quantiles


def _prior_moves() -> FloatArray:
    shares = (np.arange(N_PRIOR_MOVES) + 0.5) / N_PRIOR_MOVES
    moves: FloatArray = PRIOR_SCALE * student_t.ppf(
        shares, PRIOR_DEGREES_OF_FREEDOM
    )
    return moves


def band_ends(quantiles: FloatArray, offsets: FloatArray) -> FloatArray:
    """Quantiles that are used: shifted by what was tracked, and in order.

    Parameters
    ----------
    quantiles : ndarray of shape (..., 7)
        From `pooled_quantiles`.
    offsets : ndarray of shape (7,)
        From `track`.

    Returns
    -------
    ndarray of shape (..., 7)
    """
    ends: FloatArray = np.sort(quantiles + offsets, axis=-1)
    return ends


def track(
    offsets: FloatArray,
    shares_below: FloatArray,
    *,
    horizon_bars: int,
    session_bars: int,
) -> FloatArray:
    r"""Offsets after one more time whose outcomes are known.

    .. math:: o_\tau + \eta \, k_\tau (\tau - s_\tau), \quad
              \eta = 0.02 / \max(h, \text{bars in a session})

    where s is the share of series whose move was below the end: too many below
    it move it down. Ends in the tails move faster (k): less happens there.

    Parameters
    ----------
    offsets, shares_below : ndarray of shape (7,)
    horizon_bars, session_bars : int

    References
    ----------
    Angelopoulos, A. N., Candes, E. J., Tibshirani, R. J. (2023). Conformal PID
    control for time series prediction. NeurIPS 2023.

    Examples
    --------
    >>> shares = np.array([0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0])
    >>> track(
    ...     np.zeros(7), shares, horizon_bars=5, session_bars=1
    ... ).round(6).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.0003]
    """
    step = STEP / max(horizon_bars, session_bars)
    moved: FloatArray = offsets + step * np.array(STEP_MULTIPLES) * (
        np.array(PROBABILITIES) - shares_below
    )
    return moved


def price_bands(
    reference_close: npt.ArrayLike,
    forecast_volatility: npt.ArrayLike,
    ends: FloatArray,
) -> dict[float, Band]:
    r"""Bands around the reference close, by level.

    .. math:: \text{close} \cdot \exp(q \, \sigma)

    for the lower and the upper end q and the volatility forecast
    :math:`\sigma`. Bands are nested and hold the price target, whatever the
    ends; none reaches 0.

    Parameters
    ----------
    reference_close : array-like of shape (n_samples,)
        Close at the time of the forecast, above 0, in the unit of the result.
    forecast_volatility : array-like of shape (n_samples,)
        Of the log return over the horizon; at least 0.
    ends : ndarray of shape (n_samples, 7)
        From `band_ends`.

    Returns
    -------
    dict of float to Band
        By level in `BAND_LEVELS`, ascending.

    Examples
    --------
    >>> ends = np.array([[-2.0, -1.3, -0.7, 0.0, 0.7, 1.3, 2.0]])
    >>> bands = price_bands([100.0], [0.02], ends)
    >>> bands[0.8].lower.round(2).tolist(), bands[0.8].upper.round(2).tolist()
    ([97.43], [102.63])
    """
    close = np.asarray(reference_close, dtype=np.float64)
    sigma = np.asarray(forecast_volatility, dtype=np.float64)
    lowest = highest = _target_move(ends)
    bands: dict[float, Band] = {}
    for place, level in enumerate(BAND_LEVELS, start=1):
        lowest = np.minimum(lowest, ends[:, MEDIAN - place])
        highest = np.maximum(highest, ends[:, MEDIAN + place])
        bands[level] = Band(
            lower=close * np.exp(lowest * sigma),
            upper=close * np.exp(highest * sigma),
        )
    return bands


def price_target(
    reference_close: npt.ArrayLike,
    forecast_volatility: npt.ArrayLike,
    ends: FloatArray,
) -> FloatArray:
    r"""Reference close moved by half of the median move.

    Half, because what the median of the past says of the next move is mostly
    chance: nothing beats the last close by more than its error.

    Parameters
    ----------
    reference_close : array-like of shape (n_samples,)
        Close at the time of the forecast, above 0, in the unit of the result.
    forecast_volatility : array-like of shape (n_samples,)
        Of the log return over the horizon; at least 0.
    ends : ndarray of shape (n_samples, 7)
        From `band_ends`.

    Examples
    --------
    >>> ends = np.array([[-2.0, -1.3, -0.7, 0.1, 0.7, 1.3, 2.0]])
    >>> price_target([100.0], [0.02], ends).round(4).tolist()
    [100.1001]
    """
    close = np.asarray(reference_close, dtype=np.float64)
    sigma = np.asarray(forecast_volatility, dtype=np.float64)
    target: FloatArray = close * np.exp(_target_move(ends) * sigma)
    return target


def _target_move(ends: FloatArray) -> FloatArray:
    half: FloatArray = 0.5 * ends[:, MEDIAN]
    return half


def named_ends(ends: FloatArray, prefix: str) -> Mapping[str, FloatArray]:
    """Columns of a table by name, one for each of `PROBABILITIES`.

    Examples
    --------
    >>> list(named_ends(np.zeros((1, 7)), "offset"))[:2]
    ['offset_2_5', 'offset_10']
    """
    return dict(zip(end_names(prefix), ends.T, strict=True))


def end_names(prefix: str) -> list[str]:
    """Names of such columns, in the order of `PROBABILITIES`."""
    return [
        f"{prefix}_{100 * probability:g}".replace(".", "_")
        for probability in PROBABILITIES
    ]
