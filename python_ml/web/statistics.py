"""Sums of scores by period and intervals of shares, as the pages show them."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from python_ml.scoring.metrics import (
    block_bars,
    skill,
    skill_standard_error,
)

# Two-sided 95%: the standard normal quantile at 0.975.
Z = 1.959963984540054
FloatArray = npt.NDArray[np.float64]


def wilson_interval(
    share: FloatArray, n: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """95% interval of a share of `n` independent trials.

    Parameters
    ----------
    share : ndarray of shape (n_shares,)
        Between 0 and 1.
    n : ndarray of shape (n_shares,)
        Trials, not necessarily whole: of overlapping forecasts those that
        count.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and
    statistical inference. JASA 22, 209-212.

    Examples
    --------
    >>> lower, upper = wilson_interval(np.array([0.5]), np.array([10.0]))
    >>> lower.round(3).tolist(), upper.round(3).tolist()
    ([0.237], [0.763])
    """
    n = np.maximum(n, 1e-9)
    spread = Z / (1 + Z**2 / n)
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    reach = spread * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return centre - reach, centre + reach


def skill_by_period(
    scores: pd.DataFrame, *, session_bars: int = 1
) -> pd.DataFrame:
    """Skill of each month in which bars closed, with a standard error.

    Closes are put to blocks as long as `block_bars` says, which are taken as
    independent; so few months are judged alone where the horizon is long.

    Parameters
    ----------
    scores : DataFrame of shape (n_closes, n_columns)
        By `closed_at`, in order: `n`, `log_loss` and `climatology_log_loss`
        summed over series, `horizon_bars`.
    session_bars : int, default=1
        Bars of a session.

    Returns
    -------
    DataFrame of shape (n_periods, 5)
        `period`, `n`, `n_blocks`, `skill`, `skill_standard_error` (NaN with
        fewer than two blocks).
    """
    if scores.empty:
        return pd.DataFrame(
            columns=["period", "n", "n_blocks", "skill", "skill_standard_error"]
        )
    n_bars = block_bars(int(scores["horizon_bars"].max()), session_bars)
    blocks = np.arange(len(scores)) // n_bars
    months = scores["closed_at"].dt.strftime("%Y-%m")
    span = _months_together(months.nunique(), len(scores), n_bars)
    order = {name: place for place, name in enumerate(sorted(set(months)))}
    groups = months.map(order) // span
    rows = []
    for _, part in scores.groupby(groups):
        losses = part["log_loss"].to_numpy(dtype=np.float64)
        baseline = part["climatology_log_loss"].to_numpy(dtype=np.float64)
        own_blocks = blocks[part.index.to_numpy()]
        first, last = months[part.index[0]], months[part.index[-1]]
        rows.append(
            {
                "period": first if first == last else f"{first} to {last}",
                "n": int(part["n"].sum()),
                "n_blocks": len(np.unique(own_blocks)),
                "skill": skill(losses, baseline),
                "skill_standard_error": skill_standard_error(
                    losses, baseline, own_blocks
                ),
            }
        )
    return pd.DataFrame(rows)


def _months_together(n_months: int, n_closes: int, block: int) -> int:
    """Months in a period, so that it holds some four blocks."""
    closes_a_month = max(1.0, n_closes / max(1, n_months))
    return max(1, int(np.ceil(4 * block / closes_a_month)))
