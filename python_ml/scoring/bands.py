"""Price bands: quantiles of past moves, scaled by the volatility to expect.

A move is a log return over the horizon divided by the volatility expected of
it when the bar closed, so moves of calm and of turbulent times compare. Bands
are split conformal: what validation moved by, ranked, is what the next bar is
given, without a distribution being assumed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from python_ml.ensemble import BAND_LEVELS, FloatArray
from python_ml.exceptions import NotEnoughDataError


@dataclass(frozen=True, slots=True)
class Band:
    """Ends of one band, both of shape (n_samples,), in price."""

    lower: FloatArray
    upper: FloatArray


def conformal_quantiles(
    moves: npt.ArrayLike, *, levels: Sequence[float] = BAND_LEVELS
) -> dict[float, tuple[float, float]]:
    r"""Split-conformal ends of bands around moves, by level.

    For n moves in rising order :math:`m_{(1)} \le \dots \le m_{(n)}` and
    :math:`\alpha = 1 - \text{level}`, the ends are :math:`m_{(l)}` and
    :math:`m_{(u)}` with

    .. math:: l = \lfloor (n + 1) \, \alpha / 2 \rfloor, \quad
              u = \lceil (n + 1) (1 - \alpha / 2) \rceil

    clipped to 1 and n. If the next move were exchangeable with these, it would
    fall between them with probability `level` at least, unless clipped: with
    few moves a high level gets the extremes and holds less.

    Parameters
    ----------
    moves : array-like of shape (n_moves,)
        Log returns over the horizon / expected volatility of the same span;
        finite.
    levels : sequence of float, default=BAND_LEVELS
        Shares between 0 and 1, exclusive.

    Returns
    -------
    dict of float to (float, float)
        Lower and upper end by level, nested: a higher level is never narrower.

    Raises
    ------
    NotEnoughDataError
        If there is no move, or one is not finite.

    References
    ----------
    Papadopoulos, H., Proedrou, K., Vovk, V., Gammerman, A. (2002). Inductive
    confidence machines for regression. ECML 2002.

    Examples
    --------
    >>> conformal_quantiles(np.arange(-9.0, 10.0), levels=(0.5, 0.8))
    {0.5: (-5.0, 5.0), 0.8: (-8.0, 8.0)}
    """
    ordered = np.sort(np.asarray(moves, dtype=np.float64))
    n_finite = int(np.isfinite(ordered).sum())
    if ordered.size == 0 or n_finite < ordered.size:
        raise NotEnoughDataError(
            f"Bands need at least 1 move and only finite ones, got "
            f"{ordered.size} of which {n_finite} are finite."
        )
    quantiles = {}
    for level in levels:
        tail = (1.0 - level) / 2.0
        # Rounded first: 20 * 0.1 must not become the rank above or below.
        lower = math.floor(round((ordered.size + 1) * tail, 9))
        upper = math.ceil(round((ordered.size + 1) * (1.0 - tail), 9))
        quantiles[float(level)] = (
            float(ordered[max(lower, 1) - 1]),
            float(ordered[min(upper, ordered.size) - 1]),
        )
    return quantiles


def price_bands(
    reference_close: npt.ArrayLike,
    expected_volatility: npt.ArrayLike,
    *,
    move_quantiles: Mapping[float, tuple[float, float]],
) -> dict[float, Band]:
    r"""Bands around the reference close, by level.

    .. math:: \text{close} \cdot \exp(q \, \sigma)

    for the lower and the upper quantile q of moves and the expected volatility
    :math:`\sigma` of the log return over the horizon. A band that would be
    narrower than one of a lower level is widened to hold it, so bands are
    nested whatever the quantiles.

    Parameters
    ----------
    reference_close : array-like of shape (n_samples,)
        Close at the time of the forecast, above 0, in the unit of the result.
    expected_volatility : array-like of shape (n_samples,)
        Standard deviation to expect of the log return; at least 0.
    move_quantiles : mapping of float to (float, float)
        By level, as from `conformal_quantiles`.

    Returns
    -------
    dict of float to Band
        By level, in rising order.

    Examples
    --------
    >>> bands = price_bands(
    ...     [100.0], [0.02], move_quantiles={0.5: (-0.5, 0.5), 0.8: (-1.0, 1.5)}
    ... )
    >>> bands[0.8].lower.round(2).tolist(), bands[0.8].upper.round(2).tolist()
    ([98.02], [103.05])
    """
    close = np.asarray(reference_close, dtype=np.float64)
    sigma = np.asarray(expected_volatility, dtype=np.float64)
    bands: dict[float, Band] = {}
    lowest, highest = math.inf, -math.inf
    for level in sorted(move_quantiles):
        lower, upper = sorted(move_quantiles[level])
        lowest, highest = min(lowest, lower), max(highest, upper)
        bands[level] = Band(
            lower=close * np.exp(lowest * sigma),
            upper=close * np.exp(highest * sigma),
        )
    return bands


def price_target(
    reference_close: npt.ArrayLike,
    expected_volatility: npt.ArrayLike,
    *,
    probabilities: FloatArray,
    class_mean_moves: FloatArray,
) -> FloatArray:
    r"""Reference close moved by the mean move under the class probabilities.

    .. math:: \text{close} \cdot \exp(\sigma \sum_k p_k \mu_k)

    Parameters
    ----------
    reference_close : array-like of shape (n_samples,)
        Close at the time of the forecast, above 0, in the unit of the result.
    expected_volatility : array-like of shape (n_samples,)
        Standard deviation to expect of the log return; at least 0.
    probabilities : ndarray of shape (n_samples, 3)
        By class, rows summing to 1.
    class_mean_moves : ndarray of shape (3,)
        Mean of log return / expected volatility by class.

    Examples
    --------
    >>> price_target(
    ...     [100.0],
    ...     [0.02],
    ...     probabilities=np.array([[0.2, 0.5, 0.3]]),
    ...     class_mean_moves=np.array([-1.0, 0.0, 1.0]),
    ... ).round(4).tolist()
    [100.2002]
    """
    close = np.asarray(reference_close, dtype=np.float64)
    sigma = np.asarray(expected_volatility, dtype=np.float64)
    target: FloatArray = close * np.exp(
        sigma * (probabilities @ class_mean_moves)
    )
    return target
