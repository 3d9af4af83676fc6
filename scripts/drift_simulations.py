"""Simulated hits, and what evidence and the rule of margins make of them.

Every series hits or misses once a bar. Evidence is made by the formulas that
the warehouse uses (`python_ml.monitoring.evidence`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from python_ml.monitoring.evidence import (
    LARGEST_EVIDENCE,
    hits_bets,
    pooled_hits_bets,
)

FloatArray = npt.NDArray[np.float64]
Draw = Callable[[float], FloatArray]

SESSIONS_PER_YEAR = 252
BARS_PER_SESSION = {"m15": 26, "h1": 7, "d1": 1}
HEALTHY, DRIFTED = 0.55, 0.45
ALARMS_PER_YEAR = 0.05
N_POOLED = 20
CORRELATION = 0.9

# The rule of margins: accuracy of the last 60 this far below the baseline.
WINDOW, MARGIN = 60, 0.15


@dataclass(frozen=True)
class FalseAlarms:
    """How often something alarms while nothing is wrong.

    Parameters
    ----------
    rate : float
        Alarms a year; evidence begins anew after each.
    standard_error : float
    n_years : int
        Series-years (of a pool: years of pools) simulated.
    """

    rate: float
    standard_error: float
    n_years: int


def independent(random: np.random.Generator, n_series: int) -> Draw:
    """Hits of series that know nothing of each other."""
    return lambda p: (random.random(n_series) < p).astype(np.float64)


def pooled(
    random: np.random.Generator, n_pools: int, correlation: float
) -> Draw:
    """Shares of hits of 20 series each.

    Parameters
    ----------
    random : Generator
    n_pools : int
    correlation : float
        Of the normal variables behind the hits of two series of a pool.
    """

    def draw(p: float) -> FloatArray:
        common = random.standard_normal((n_pools, 1))
        own = random.standard_normal((n_pools, N_POOLED))
        mixed = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
        shares: FloatArray = (mixed < ndtri(p)).mean(axis=1)
        return shares

    return draw


class Evidence:
    """Evidence of several series or pools, step by step."""

    def __init__(self, n: int, *, is_pool: bool, expected: float) -> None:
        self.bets = pooled_hits_bets if is_pool else hits_bets
        self.expected = expected
        n_sizes = self.bets(np.zeros(1), expected).shape[-1]
        self.by_size = np.zeros((n, n_sizes))

    def add(self, observed: FloatArray) -> FloatArray:
        """Evidence after one more observation of each."""
        bets = self.bets(observed, self.expected)
        self.by_size = np.minimum((1 + self.by_size) * bets, LARGEST_EVIDENCE)
        evidence: FloatArray = self.by_size.mean(axis=1)
        return evidence

    def begin_anew(self, which: npt.NDArray[np.bool_]) -> None:
        """Forget, where an alarm was acted on."""
        self.by_size[which] = 0


class Margins:
    """Accuracy of the last 60 against the baseline, step by step."""

    def __init__(self, n: int) -> None:
        self.hits = np.full((WINDOW, n), HEALTHY)
        self.step = 0

    def add(self, observed: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether each is in alert after one more observation."""
        self.hits[self.step % WINDOW] = observed
        self.step += 1
        alerts: npt.NDArray[np.bool_] = (
            self.hits.mean(axis=0) < HEALTHY - MARGIN
        )
        return alerts


def threshold(bars_per_year: int) -> float:
    """Evidence that is an alarm."""
    return bars_per_year / ALARMS_PER_YEAR


def false_alarms(
    draw: Draw, n: int, bars_per_year: int, *, n_years: int, is_pool: bool
) -> FalseAlarms:
    """Alarms of evidence while every hit comes as expected."""
    evidence = Evidence(n, is_pool=is_pool, expected=HEALTHY)
    n_alarms = 0
    for _ in range(n_years * bars_per_year):
        is_alarm = evidence.add(draw(HEALTHY)) >= threshold(bars_per_year)
        n_alarms += int(is_alarm.sum())
        evidence.begin_anew(is_alarm)
    rate = n_alarms / (n * n_years)
    return FalseAlarms(rate, float(np.sqrt(rate / (n * n_years))), n * n_years)


def delays(
    draw: Draw,
    n: int,
    bars_per_year: int,
    *,
    is_pool: bool,
    expected: float = HEALTHY,
) -> FloatArray:
    """Bars from a fall of the share of hits to the alarm.

    Hits come as expected for a year first. What is not found within three years
    counts as three.
    """
    evidence = Evidence(n, is_pool=is_pool, expected=expected)
    for _ in range(bars_per_year):
        is_alarm = evidence.add(draw(HEALTHY)) >= threshold(bars_per_year)
        evidence.begin_anew(is_alarm)
    found = np.zeros(n)
    for step in range(1, 3 * bars_per_year + 1):
        is_alarm = evidence.add(draw(DRIFTED)) >= threshold(bars_per_year)
        found[is_alarm & (found == 0)] = step
        if found.all():
            break
    found[found == 0] = 3 * bars_per_year
    return found


def margin_rule(
    draw: Draw, n: int, bars_per_year: int, bars_per_session: int
) -> tuple[float, float, FloatArray]:
    """What the rule of margins does with the same hits.

    Returns
    -------
    share_of_days : float
        Series-days on which a healthy series is in alert or worse.
    share_of_years : float
        Healthy series that alarm within a year.
    delays : array of shape (n_series,)
        Bars from the fall to the first alert.
    """
    margins = Margins(n)
    n_days = 0
    in_alert = np.zeros(n)
    for step in range(1, bars_per_year + 1):
        is_alert = margins.add(draw(HEALTHY))
        if step % bars_per_session == 0:
            n_days += 1
            in_alert += is_alert
    found = np.zeros(n)
    for step in range(1, bars_per_year + 1):
        is_alert = margins.add(draw(DRIFTED))
        found[is_alert & (found == 0)] = step
        if found.all():
            break
    found[found == 0] = bars_per_year
    return float(in_alert.mean() / n_days), float((in_alert > 0).mean()), found
