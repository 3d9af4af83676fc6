"""Training rows made of arrays: one move feature that is real, others noise."""

import numpy as np

from python_ml.ensemble import CLASSES, MemberPredictions
from python_ml.examples.arrays import (
    FIT,
    PURGED,
    VALIDATION,
    HorizonExamples,
    SeriesExamples,
)

FIRST_CLOSE = np.datetime64("2020-01-01T21:00", "us")
FEATURES = ("turbulence", "noise_1", "noise_2")


def closes(bar_numbers):
    """One close a day, by bar number."""
    return FIRST_CLOSE + np.asarray(bar_numbers) * np.timedelta64(1, "D")


def make_rows(
    *,
    seed=0,
    n_bars=600,
    horizon_bars=5,
    horizon="5d",
    fit_share=0.7,
    strength=1.0,
):
    """Rows of one series and horizon, split as a cut would split them.

    `strength` says how much the first feature knows about the size of the
    next move; 0 is noise.
    """
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_bars, len(FEATURES)))
    moves = random.normal(size=n_bars) * np.exp(strength * X[:, 0])
    y = np.where(moves < -0.43, 0, np.where(moves > 0.43, 2, 1))
    bars = np.arange(n_bars)
    validation_starts = round(n_bars * fit_share)
    parts = np.full(n_bars, PURGED)
    parts[bars + horizon_bars < validation_starts] = FIT
    parts[bars >= validation_starts] = VALIDATION
    shares = np.bincount(y, minlength=3) / n_bars
    return HorizonExamples(
        horizon=horizon,
        horizon_bars=horizon_bars,
        X=X,
        y=y,
        moves=moves,
        bar_numbers=bars,
        closed_at=closes(bars),
        label_end_at=closes(bars + horizon_bars),
        split_parts=parts,
        fit_climatology=shares,
        window_climatology=shares,
    )


def make_series(*, symbol_id=1, ticker="AAA", **keywords):
    """One series with one horizon."""
    return SeriesExamples(
        symbol_id=symbol_id,
        ticker=ticker,
        calendar="XNYS",
        timeframe="d1",
        feature_names=FEATURES,
        horizons=(make_rows(**keywords),),
    )


def make_predictions(
    *, seed=0, n=120, n_members=3, horizon_bars=1, first_bar=0
):
    """What random members say about validation rows of random labels."""
    random = np.random.default_rng(seed)
    P = random.dirichlet(np.ones(len(CLASSES)), size=(n, n_members))
    bars = first_bar + np.arange(n)
    return MemberPredictions(
        member_names=tuple(f"member_{i}" for i in range(n_members)),
        probabilities=P,
        y=random.integers(0, 3, n),
        climatology=np.array([0.3, 0.4, 0.3]),
        closed_at=closes(bars),
        label_end_at=closes(bars + horizon_bars),
    )
