"""The judgement of `monitoring.drift_status` at every time of the past.

The view judges each series by the outcomes that have settled until now. A
backtest asks what it would have said on each earlier day, of thousands of
days; here that is one pass over running sums. A test holds the two together.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# Two-sided 95%: the standard normal quantile at 0.975.
Z = 1.959963984540054


@dataclass(frozen=True)
class DriftThresholds:
    """The row of the seed `drift_thresholds`, as far as retraining reads it.

    Parameters
    ----------
    alert_below : float
        Accuracy less baseline.
    min_predictions, window_predictions : int
        Settled forecasts that a judgement takes, and that it looks at.
    """

    alert_below: float
    min_predictions: int
    window_predictions: int


def asks_for_retraining(
    hits: FloatArray,
    baselines: FloatArray,
    horizon_bars: FloatArray,
    thresholds: DriftThresholds,
) -> npt.NDArray[np.bool_]:
    """Whether drift asks for a retraining after each outcome of one series.

    That is, whether `drift_status` would recommend `schedule_retrain` or
    `retrain_now` had nothing settled after that outcome: the margin is below
    `alert_below` and the whole of Wilson's interval below the baseline.

    Parameters
    ----------
    hits : array of shape (n_outcomes,)
        1 where the direction came true, else 0; by settlement, then length of
        the horizon, then close of the bar.
    baselines : array of shape (n_outcomes,)
        Accuracy that validation promised; NaN where there is none.
    horizon_bars : array of shape (n_outcomes,)
        Grid bars ahead. Overlapping forecasts count as n / their mean.
    thresholds : DriftThresholds

    Returns
    -------
    array of bool, shape (n_outcomes,)

    Examples
    --------
    >>> thresholds = DriftThresholds(-0.15, 5, 60)
    >>> asks_for_retraining(
    ...     np.zeros(6), np.full(6, 0.5), np.ones(6), thresholds
    ... ).tolist()
    [False, False, False, False, True, True]
    """
    window = thresholds.window_predictions
    n = _windowed(np.ones_like(hits), window)
    has_baseline = np.isfinite(baselines)
    n_baselines = _windowed(has_baseline.astype(np.float64), window)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = _windowed(hits, window) / n
        baseline = (
            _windowed(np.where(has_baseline, baselines, 0.0), window)
            / n_baselines
        )
        n_effective = np.maximum(n / (_windowed(horizon_bars, window) / n), 1)
        # Rounded as the view does it, so that a threshold is met exactly.
        margin = np.round(accuracy - baseline, 12)
        is_below = _upper_end(accuracy, n_effective) < baseline
        asks = (margin < thresholds.alert_below) & is_below
    result: npt.NDArray[np.bool_] = asks & (n >= thresholds.min_predictions)
    return result


def _upper_end(accuracy: FloatArray, n_effective: FloatArray) -> FloatArray:
    """Upper end of Wilson's interval."""
    z2 = Z * Z
    center = (accuracy + z2 / (2 * n_effective)) / (1 + z2 / n_effective)
    half_width = (
        Z
        / (1 + z2 / n_effective)
        * np.sqrt(
            accuracy * (1 - accuracy) / n_effective
            + z2 / (4 * n_effective * n_effective)
        )
    )
    return np.where(accuracy < 1, center + half_width, accuracy)


def _windowed(values: FloatArray, window: int) -> FloatArray:
    """Sum of the last `window` values at each place."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    result: FloatArray = sums[ends] - sums[np.maximum(ends - window, 0)]
    return result
