"""Sequential tests by betting, as `monitoring.drift_evidence` makes them.

While all is well the mean of a bet is at most 1, whatever came before. The sum
of Shiryaev and Roberts, ``R_t = (1 + R_{t-1}) * bet_t``, then has a mean of at
most t, so that it reaches A within n steps with probability n / A at most. It
may be looked at after every step.

The warehouse computes evidence in SQL (`dbt_project/macros/evidence.sql`).
These are the same formulas on arrays: for simulations, and for a test that
holds the two together.

References
----------
Shin, J., Ramdas, A., Rinaldo, A.: E-detectors: a nonparametric framework for
sequential change detection. New England Journal of Statistics in Data Science,
2024.

Henzi, A., Ziegel, J. F.: Valid sequential inference on probability forecast
performance. Biometrika, 2022.

Choe, Y. J., Ramdas, A.: Comparing sequential forecasters. Operations Research,
2024.

Wang, R., Ramdas, A.: False discovery rate control with e-values. Journal of the
Royal Statistical Society B, 2022.
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# As in the macros.
SKILL_STAKES = (0.1, 0.3, 0.6, 0.9)
ACCURACY_LOSSES = (0.03, 0.06, 0.10)
POOLED_HITS_STAKES = (0.1, 0.3, 0.9)
LARGEST_EVIDENCE = 1e100


def skill_bets(gains: FloatArray, *, bound: float) -> FloatArray:
    """Bets that forecasts lose more than climatology.

    Parameters
    ----------
    gains : array of shape (...)
        Climatology's log loss less the forecast's, in nats; cut to `bound`.
    bound : float
        Above 0.

    Returns
    -------
    array of shape (..., n_stakes)
        At least 0.1; above 1 where the forecast lost more.

    Examples
    --------
    >>> skill_bets(np.array([0.2, -5.0]), bound=1.0).round(2).tolist()
    [[0.98, 0.94, 0.88, 0.82], [1.1, 1.3, 1.6, 1.9]]
    """
    cut = np.clip(gains, -bound, bound)[..., np.newaxis] / bound
    bets: FloatArray = 1 - np.asarray(SKILL_STAKES) * cut
    return bets


def hits_bets(hits: FloatArray, expected: FloatArray | float) -> FloatArray:
    """Bets that forecasts hit less often than expected.

    Parameters
    ----------
    hits : array of shape (...)
        1 for a hit, else 0.
    expected : array of shape (...) or float
        Share of hits to expect at least, in (0, 1).

    Returns
    -------
    array of shape (..., n_losses)
        Likelihood ratios of a share that is lower by each of the losses.

    Examples
    --------
    >>> hits_bets(np.array([1.0, 0.0]), 0.5).round(2).tolist()
    [[0.94, 0.88, 0.8], [1.06, 1.12, 1.2]]
    """
    p = np.broadcast_to(np.asarray(expected, dtype=np.float64), hits.shape)
    p = p[..., np.newaxis]
    lower = np.maximum(p - np.asarray(ACCURACY_LOSSES), 0)
    is_hit = hits[..., np.newaxis] > 0.5
    bets: FloatArray = np.where(is_hit, lower / p, (1 - lower) / (1 - p))
    return bets


def pooled_hits_bets(
    shares: FloatArray, expected: FloatArray | float
) -> FloatArray:
    """Bets that the share of hits over all series is below what is expected.

    Parameters
    ----------
    shares : array of shape (...)
        Share of hits of all series at one time.
    expected : array of shape (...) or float
        Mean of what is expected of them, in (0, 1).

    Returns
    -------
    array of shape (..., n_stakes)

    Examples
    --------
    >>> pooled_hits_bets(np.array([0.5, 0.25]), 0.5).round(3).tolist()
    [[1.0, 1.0, 1.0], [1.05, 1.15, 1.45]]
    """
    p = np.broadcast_to(np.asarray(expected, dtype=np.float64), shares.shape)
    bets: FloatArray = 1 + np.asarray(POOLED_HITS_STAKES) * (
        (p - shares) / (1 - p)
    )[..., np.newaxis].repeat(len(POOLED_HITS_STAKES), axis=-1)
    return bets


def evidence_path(
    bets: FloatArray, before: FloatArray | None = None
) -> FloatArray:
    """Evidence after each step of one stream.

    Parameters
    ----------
    bets : array of shape (n_steps, ..., n_sizes)
        In the order in which outcomes became known.
    before : array of shape (..., n_sizes), optional
        What the first step is added to; none by default.

    Returns
    -------
    array of shape (n_steps, ..., n_sizes)
        By size of bet; their mean is the evidence.

    Examples
    --------
    >>> evidence_path(np.array([[1.0], [1.5], [0.5]])).ravel().tolist()
    [1.0, 3.0, 2.0]
    """
    path = np.empty_like(bets, dtype=np.float64)
    evidence = np.zeros(bets.shape[1:]) if before is None else before
    for step, bet in enumerate(bets):
        evidence = np.minimum((1 + evidence) * bet, LARGEST_EVIDENCE)
        path[step] = evidence
    return path


def discoveries(e_values: FloatArray, *, rate: float) -> npt.NDArray[np.bool_]:
    """Which of many e-values stand out, by the rule e-BH.

    The share of false ones among them is at most `rate` on average, however
    the e-values depend on each other.

    Parameters
    ----------
    e_values : array of shape (n_tests,)
        Each with a mean of at most 1 while nothing is wrong.
    rate : float
        In (0, 1).

    Returns
    -------
    array of bool, shape (n_tests,)

    Examples
    --------
    >>> discoveries(np.array([50.0, 30.0, 0.0, 0.0]), rate=0.05).tolist()
    [False, False, False, False]
    >>> discoveries(np.array([50.0, 45.0, 0.0, 0.0]), rate=0.05).tolist()
    [True, True, False, False]
    """
    order = np.argsort(-e_values, kind="stable")
    places = np.arange(1, len(e_values) + 1)
    stands_out = e_values[order] * places * rate >= len(e_values)
    n_discovered = int(places[stands_out].max()) if stands_out.any() else 0
    found = np.zeros(len(e_values), dtype=np.bool_)
    found[order[:n_discovered]] = True
    return found
