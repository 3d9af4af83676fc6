"""Champions and challengers on one simulated market, as arrays.

Turbulence comes and goes, partly for all series at once, and says how far
prices will move. A recipe that sees it clearly is good, one that sees it
through noise is worse, and one whose labels were shuffled has learnt nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression

from python_ml.ensemble import MemberPredictions
from python_ml.registry.promotion.verdict import (
    PairedForecasts,
    Verdict,
    promotion_block_bars,
    reach_verdict,
)
from python_ml.scoring.metrics import mix
from python_ml.scoring.time_order import (
    Weighing,
    score_in_time_order,
)
from tests.training_arrays import closes

N_BARS = 600
CHAMPION_VALIDATION = 240
CHAMPION_AS_OF = 400
CHALLENGER_STARTS = 20
VALIDATION_STARTS = 420
MEMBERS = ("climatology", "random_forest")
PERSISTENCE = 0.98
CLEAR, BLURRED = 0.3, 3.0


@dataclass(frozen=True)
class Market:
    """Simulated series.

    Parameters
    ----------
    turbulence : ndarray of shape (n_series, n_bars)
    y : ndarray of int of shape (n_series, n_bars)
    horizon_bars : int
    seed : int
    """

    turbulence: np.ndarray
    y: np.ndarray
    horizon_bars: int
    seed: int

    @property
    def n_series(self):
        """How many."""
        return len(self.y)

    def observe(self, noise):
        """What a recipe sees, shape (n_series, n_bars, 1)."""
        random = np.random.default_rng([self.seed, int(noise * 1000)])
        blur = random.normal(size=self.turbulence.shape)
        return (self.turbulence + noise * blur)[:, :, None]


def make_market(seed, *, n_series=24, horizon_bars=1):
    """A market in which half of turbulence and a third of moves are shared."""
    random = np.random.default_rng(seed)
    n = N_BARS + horizon_bars
    shocks = np.sqrt(0.5) * (
        random.normal(size=(1, n)) + random.normal(size=(n_series, n))
    )
    turbulence = shocks.copy()
    for t in range(1, n):
        turbulence[:, t] = (
            PERSISTENCE * turbulence[:, t - 1]
            + np.sqrt(1 - PERSISTENCE**2) * shocks[:, t]
        )
    z = np.sqrt(0.3) * random.normal(size=(1, n)) + np.sqrt(
        0.7
    ) * random.normal(size=(n_series, n))
    returns = np.exp(0.5 * turbulence) * z
    sums = np.cumsum(returns, axis=1)
    # The move over the bars after each, not its own.
    moves = (sums[:, horizon_bars:] - sums[:, :-horizon_bars]) / np.sqrt(
        horizon_bars
    )
    y = np.where(moves < -0.45, 0, np.where(moves > 0.45, 2, 1))
    return Market(turbulence[:, :N_BARS], y[:, :N_BARS], horizon_bars, seed)


def _fit(X, y, *, is_shuffled, seed):
    if is_shuffled:
        y = np.random.default_rng(seed).permutation(y)
    return LogisticRegression(C=0.1).fit(X, y)


def _shares(y):
    return np.bincount(y, minlength=3) / len(y)


def predictions(market, *, noise, first, validation, end, is_shuffled=False):
    """What members fitted on bars `first` to `validation` say until `end`."""
    X = market.observe(noise)
    bars = np.arange(validation, end)
    made = []
    for i in range(market.n_series):
        fit = slice(first, validation - market.horizon_bars)
        model = _fit(
            X[i, fit], market.y[i, fit], is_shuffled=is_shuffled, seed=i
        )
        climatology = _shares(market.y[i, fit])
        P = np.stack(
            [
                np.tile(climatology, (len(bars), 1)),
                model.predict_proba(X[i, bars]),
            ],
            axis=1,
        )
        made.append(
            MemberPredictions(
                member_names=MEMBERS,
                probabilities=P,
                y=market.y[i, bars],
                climatology=climatology,
                closed_at=closes(bars),
                label_end_at=closes(bars + market.horizon_bars),
            )
        )
    return made


def weighing(market):
    """As training weighs."""
    return Weighing(horizon_bars=market.horizon_bars, learned=(False, True))


def challengers(market, *, noise=CLEAR, is_shuffled=False):
    """Validation of the versions trained at the end of the market."""
    return predictions(
        market,
        noise=noise,
        first=CHALLENGER_STARTS,
        validation=VALIDATION_STARTS,
        end=N_BARS - market.horizon_bars,
        is_shuffled=is_shuffled,
    )


def champion_forecasts(market, *, noise=CLEAR):
    """Probabilities of the champions at every bar since their as-of time.

    Shape (n_series, n_bars, 3), NaN before it. Weighed on their own
    validation, fitted on all bars before.
    """
    before = predictions(
        market,
        noise=noise,
        first=0,
        validation=CHAMPION_VALIDATION,
        end=CHAMPION_AS_OF - market.horizon_bars,
    )
    _, weights = weighing(market).fit(
        before, [np.ones(len(p.y), dtype=bool) for p in before]
    )
    after = predictions(
        market, noise=noise, first=0, validation=CHAMPION_AS_OF, end=N_BARS
    )
    P = np.full((market.n_series, N_BARS, 3), np.nan)
    for i, (said, weight) in enumerate(zip(after, weights, strict=True)):
        P[i, CHAMPION_AS_OF:] = mix(said.probabilities, weight.values)
    return P


def verdict(market, challenging, champions) -> Verdict:
    """Judge as promotion does, without a database."""
    scores = score_in_time_order(challenging, weighing(market))
    parts = []
    for i, (said, score) in enumerate(zip(challenging, scores, strict=True)):
        bars = VALIDATION_STARTS + score.rows
        parts.append(
            PairedForecasts(
                series=np.full(len(bars), i),
                bar_numbers=bars,
                challenger=score.probabilities,
                champion=champions[i, bars],
                climatology=np.tile(said.climatology, (len(bars), 1)),
                y=said.y[score.rows],
            )
        )
    paired = PairedForecasts(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in PairedForecasts.__dataclass_fields__
        }
    )
    return reach_verdict(
        paired, block_bars=promotion_block_bars(1, market.horizon_bars)
    )


def verdicts(seed, *, n_series=24, horizon_bars=1):
    """What becomes of four kinds of challengers, by name."""
    market = make_market(seed, n_series=n_series, horizon_bars=horizon_bars)
    clear, blurred = (
        champion_forecasts(market, noise=noise) for noise in (CLEAR, BLURRED)
    )
    like_champion = challengers(market)
    return {
        "better": verdict(market, like_champion, blurred),
        "same": verdict(market, like_champion, clear),
        "worse": verdict(market, challengers(market, noise=BLURRED), clear),
        "shuffled": verdict(
            market, challengers(market, is_shuffled=True), clear
        ),
    }


def without_labels(predictions):
    """The same predictions of rows whose labels say nothing about them."""
    random = np.random.default_rng(0)
    return replace(predictions, y=random.permutation(predictions.y))
