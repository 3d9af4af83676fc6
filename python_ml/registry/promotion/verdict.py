"""What follows from forecasts of the same bars: pure functions on arrays."""

from dataclasses import dataclass, replace

import numpy as np

from python_ml.ensemble import FloatArray
from python_ml.scoring.metrics import (
    MIN_BLOCK_SESSIONS,
    IntArray,
    block_bars,
    block_standard_error,
    log_losses,
)

BLOCK_SESSIONS = MIN_BLOCK_SESSIONS
# Fewer say nothing about which of two is better.
MIN_BARS = 20
MIN_BLOCKS = 4
WORSE_BY_ERRORS = 1.0
BELOW_CLIMATOLOGY_BY_ERRORS = 2.0
RULE = (
    "promote if the challengers' mean log loss is not above the champions' by "
    f"more than {WORSE_BY_ERRORS:g} standard error and not above "
    f"climatology's by more than {BELOW_CLIMATOLOGY_BY_ERRORS:g}, on the same "
    f"bars after the champions' as-of time, in at least {MIN_BARS} bars and "
    f"{MIN_BLOCKS} blocks of {BLOCK_SESSIONS} sessions or one horizon; keep "
    "the champions otherwise; deploy where there is no champion"
)

FIRST_VERSION = "first_version"
NOT_WORSE = "not_worse"
WORSE = "worse_than_champion"
BELOW_CLIMATOLOGY = "below_climatology"
TOO_FEW_BARS = "too_few_bars"
FORCED = "forced"


@dataclass(frozen=True)
class PairedForecasts:
    """Forecasts of the same bars by challengers and champions.

    Parameters
    ----------
    series : ndarray of int of shape (n_samples,)
        Key of the series of each row.
    bar_numbers : ndarray of int of shape (n_samples,)
        On the grid, which all series share.
    challenger, champion, climatology : ndarray of shape (n_samples, 3)
        Probabilities; climatology as the challenger knew it at fit.
    y : ndarray of int of shape (n_samples,)
        Positions of the labels in `CLASSES`.
    """

    series: IntArray
    bar_numbers: IntArray
    challenger: FloatArray
    champion: FloatArray
    climatology: FloatArray
    y: IntArray


@dataclass(frozen=True)
class Verdict:
    """What follows from a comparison, and its numbers.

    Parameters
    ----------
    verdict : str
        `first_version`, `not_worse`, `worse_than_champion`,
        `below_climatology`, `too_few_bars` or `forced`.
    is_promoted : bool
        Whether the challengers take over.
    reason : str
        For people.
    n_series, n_rows, n_bars, n_blocks : int
        Compared.
    challenger_log_loss, champion_log_loss, climatology_log_loss : float or None
        Mean over the rows, in nats; lower is better. None without rows.
    mean_difference : float or None
        Challenger less champion.
    mean_difference_se : float or None
        Its standard error from blocks; None with fewer than two.
    climatology_difference, climatology_difference_se : float or None
        Challenger less climatology, likewise.
    """

    verdict: str
    is_promoted: bool
    reason: str
    n_series: int = 0
    n_rows: int = 0
    n_bars: int = 0
    n_blocks: int = 0
    challenger_log_loss: float | None = None
    champion_log_loss: float | None = None
    climatology_log_loss: float | None = None
    mean_difference: float | None = None
    mean_difference_se: float | None = None
    climatology_difference: float | None = None
    climatology_difference_se: float | None = None


def reach_verdict(paired: PairedForecasts, *, block_bars: int) -> Verdict:
    """Apply `RULE` to forecasts of the same bars; pure.

    Parameters
    ----------
    paired : PairedForecasts
        May be empty.
    block_bars : int
        Grid bars in a block; see `promotion_block_bars`.

    Examples
    --------
    Twenty bars of one series in four blocks; the champion gives each label
    1/2, the challenger 0.6:

    >>> n = 20
    >>> better = np.tile([0.6, 0.2, 0.2], (n, 1))
    >>> half = np.tile([0.5, 0.25, 0.25], (n, 1))
    >>> paired = PairedForecasts(
    ...     series=np.ones(n, dtype=int),
    ...     bar_numbers=np.arange(n),
    ...     challenger=better,
    ...     champion=half,
    ...     climatology=half,
    ...     y=np.zeros(n, dtype=int),
    ... )
    >>> verdict = reach_verdict(paired, block_bars=5)
    >>> verdict.verdict, round(verdict.mean_difference, 4)
    ('not_worse', -0.1823)
    """
    measured = _measure(paired, block_bars)
    if measured.n_bars < MIN_BARS or measured.n_blocks < MIN_BLOCKS:
        return measured
    to_champion = measured.mean_difference, measured.mean_difference_se
    to_climatology = (
        measured.climatology_difference,
        measured.climatology_difference_se,
    )
    against = _describe("the champions'", *to_champion)
    below = _describe("climatology's", *to_climatology)
    where = (
        f"on {measured.n_bars} bars in {measured.n_blocks} blocks of "
        f"{measured.n_series} series"
    )
    if _exceeds(*to_champion, by_errors=WORSE_BY_ERRORS):
        return replace(
            measured, verdict=WORSE, reason=f"worse {where}: {against}"
        )
    if _exceeds(*to_climatology, by_errors=BELOW_CLIMATOLOGY_BY_ERRORS):
        return replace(
            measured,
            verdict=BELOW_CLIMATOLOGY,
            reason=f"below climatology {where}: {below}",
        )
    return replace(
        measured,
        verdict=NOT_WORSE,
        is_promoted=True,
        reason=f"not worse {where}: {against}; {below}",
    )


def promotion_block_bars(session_bars: int, horizon_bars: int) -> int:
    """Grid bars in a block: 5 sessions, 5 bars or a horizon, whatever is most.

    Examples
    --------
    >>> promotion_block_bars(1, 20), promotion_block_bars(26, 4)
    (20, 130)
    """
    return block_bars(horizon_bars, session_bars)


def _measure(paired: PairedForecasts, block_bars: int) -> Verdict:
    """Numbers of the comparison, as if they were too few to say more."""
    blocks = paired.bar_numbers // block_bars
    n_bars = len(np.unique(paired.bar_numbers))
    n_blocks = len(np.unique(blocks))
    too_few = Verdict(
        TOO_FEW_BARS,
        False,
        f"the champions have forecast {n_bars} of the bars to compare, in "
        f"{n_blocks} blocks; {MIN_BARS} in {MIN_BLOCKS} are needed",
    )
    if len(paired.y) == 0:
        return too_few
    challenger = log_losses(paired.challenger, paired.y)
    champion = log_losses(paired.champion, paired.y)
    climatology = log_losses(paired.climatology, paired.y)
    to_champion = challenger - champion
    to_climatology = challenger - climatology
    return replace(
        too_few,
        n_series=len(np.unique(paired.series)),
        n_rows=len(paired.y),
        n_bars=n_bars,
        n_blocks=n_blocks,
        challenger_log_loss=float(challenger.mean()),
        champion_log_loss=float(champion.mean()),
        climatology_log_loss=float(climatology.mean()),
        mean_difference=float(to_champion.mean()),
        mean_difference_se=_standard_error(to_champion, blocks),
        climatology_difference=float(to_climatology.mean()),
        climatology_difference_se=_standard_error(to_climatology, blocks),
    )


def _standard_error(values: FloatArray, blocks: IntArray) -> float | None:
    error = block_standard_error(values, blocks)
    return error if np.isfinite(error) else None


def _exceeds(
    mean: float | None, error: float | None, *, by_errors: float
) -> bool:
    assert mean is not None
    assert error is not None
    return mean > by_errors * error


def _describe(whose: str, mean: float | None, error: float | None) -> str:
    assert mean is not None
    assert error is not None
    return f"log loss less {whose} {mean:+.4f} +- {error:.4f}"
