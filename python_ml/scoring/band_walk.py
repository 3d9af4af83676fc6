"""Band ends through time: distributions made anew, offsets tracked.

A walk goes along the grid bars of one calendar, timeframe and horizon. At each
bar it knows the outcomes whose target bar has closed by then, and no other; it
takes the same steps whether it goes one bar a day or ten years at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from python_ml.ensemble import FloatArray
from python_ml.scoring.bands import (
    PROBABILITIES,
    band_ends,
    count_place_groups,
    place_groups,
    pooled_quantiles,
    scale_factors,
    track,
)

# Standard errors beyond which coverage is no chance.
BROKEN_ERRORS = 3
LOWER_80, UPPER_80 = PROBABILITIES.index(0.1), PROBABILITIES.index(0.9)


@dataclass(frozen=True, slots=True)
class BandWindows:
    """How far a walk looks back, in grid bars.

    Parameters
    ----------
    pool_bars : int
        Moves of so many bars make a distribution.
    factor_bars : int
        Moves of so many bars make a series' own scale.
    refresh_bars : int
        A distribution serves from a bar number divisible by this to the next.
    warm_up_bars : int
        Outcomes of so many bars are tracked before the first state.
    """

    pool_bars: int
    factor_bars: int
    refresh_bars: int
    warm_up_bars: int

    def refreshed_at(self, bar_number: int) -> int:
        """First bar of the distribution that serves at a bar."""
        return bar_number - bar_number % self.refresh_bars


@dataclass(frozen=True, slots=True)
class Moves:
    """Moves of all series of a calendar and timeframe over one horizon.

    Parameters
    ----------
    symbol_ids : tuple of int
        One for each column of `values`.
    first_bar_number : int
        That of the first row.
    values : ndarray of shape (n_bars, n_series)
        Log return from the close of the row's bar to that of its target bar /
        volatility forecast of it; NaN where there is none.
    places : ndarray of int of shape (n_bars,)
        Place in the session of each bar, from 1.
    session_bars : int
        Bars in a full session.
    horizon_bars : int
    """

    symbol_ids: tuple[int, ...]
    first_bar_number: int
    values: FloatArray
    places: npt.NDArray[np.int64]
    session_bars: int
    horizon_bars: int

    def known_before(self, bar_number: int, n_bars: int) -> "Moves":
        """Of `n_bars` bars, those whose target had closed before a bar."""
        end = bar_number - self.horizon_bars - self.first_bar_number
        rows = slice(max(end - n_bars, 0), max(end, 0))
        return Moves(
            self.symbol_ids,
            self.first_bar_number + rows.start,
            self.values[rows],
            self.places[rows],
            self.session_bars,
            self.horizon_bars,
        )


@dataclass(frozen=True, slots=True)
class Distribution:
    """What moves are like, from the bar on from which it serves.

    Parameters
    ----------
    from_bar_number : int
    quantiles : ndarray of shape (n_groups, 7)
        By group of places, at `PROBABILITIES`.
    factors : mapping of int to float
        Scale of each series' moves by symbol; one that is missing has 1.
    n_moves : int
        Moves that it was made from; 0 for the prior alone.
    """

    from_bar_number: int
    quantiles: FloatArray
    factors: Mapping[int, float]
    n_moves: int


@dataclass(frozen=True, slots=True)
class BandState:
    """Offsets of the ends as they are used at one bar.

    Parameters
    ----------
    bar_number : int
    from_bar_number : int
        Of the distribution that they are added to.
    offsets : ndarray of shape (7,)
    n_outcomes : int
        Outcomes that settled at this bar.
    share_inside_80 : float
        Share of these inside the 80% band as it stood; NaN without any.
    """

    bar_number: int
    from_bar_number: int
    offsets: FloatArray
    n_outcomes: int
    share_inside_80: float


def make_distribution(
    moves: Moves, from_bar_number: int, windows: BandWindows
) -> Distribution:
    """Distribution of what was known before a bar.

    Parameters
    ----------
    moves : Moves
        At least those that `windows` look back at; later ones are not used.
    from_bar_number : int
    windows : BandWindows
    """
    of_factors = moves.known_before(from_bar_number, windows.factor_bars)
    factors = scale_factors(of_factors.values, horizon_bars=moves.horizon_bars)
    pooled = moves.known_before(from_bar_number, windows.pool_bars)
    quantiles = pooled_quantiles(
        pooled.values / factors,
        place_groups(pooled.places, moves.session_bars),
        horizon_bars=moves.horizon_bars,
        n_groups=count_place_groups(moves.session_bars),
    )
    return Distribution(
        from_bar_number,
        quantiles,
        dict(zip(moves.symbol_ids, factors.tolist(), strict=True)),
        int(np.isfinite(pooled.values).sum()),
    )


def walk(
    moves: Moves,
    bars: range,
    windows: BandWindows,
    *,
    offsets: FloatArray | None = None,
    states: Mapping[int, BandState] | None = None,
    distributions: Mapping[int, Distribution] | None = None,
) -> tuple[list[BandState], dict[int, Distribution]]:
    """States at the bars of a range.

    Parameters
    ----------
    moves : Moves
        Those that settle at `bars`; further back where a distribution is to be
        made. Moves that settle later are not used.
    bars : range
        Consecutive grid bars.
    windows : BandWindows
    offsets : ndarray of shape (7,), optional
        At the bar before; by default none.
    states : mapping of int to BandState, optional
        By bar; what stands there already is gone on from.
    distributions : mapping of int to Distribution, optional
        By first bar; those that are there already.

    Returns
    -------
    states : list of BandState
        One for each of `bars`.
    distributions : dict of int to Distribution
        By first bar, those that serve at any of `bars`.
    """
    known = dict(states or {})
    made = dict(distributions or {})
    used: dict[int, Distribution] = {}
    walked: list[BandState] = []
    at = np.zeros(len(PROBABILITIES)) if offsets is None else offsets
    groups = place_groups(moves.places, moves.session_bars)
    served_from: int | None = None
    for bar_number in bars:
        first = (
            known[bar_number].from_bar_number
            if bar_number in known
            else windows.refreshed_at(bar_number)
        )
        if first not in used:
            if first not in made:
                made[first] = make_distribution(moves, first, windows)
            used[first] = made[first]
        if bar_number in known:
            state = known[bar_number]
        else:
            if first != served_from:
                served_from = first
                factors = np.array(
                    [used[first].factors.get(s, 1.0) for s in moves.symbol_ids]
                )
            row = bar_number - moves.horizon_bars - moves.first_bar_number
            n_outcomes, inside = 0, math.nan
            if 0 <= row < len(moves.values):
                shares, n_outcomes = _shares_below(
                    moves.values[row] / factors,
                    band_ends(used[first].quantiles[groups[row]], at),
                )
            if n_outcomes:
                inside = float(shares[UPPER_80] - shares[LOWER_80])
                at = track(
                    at,
                    shares,
                    horizon_bars=moves.horizon_bars,
                    session_bars=moves.session_bars,
                )
            state = BandState(bar_number, first, at, n_outcomes, inside)
        at = state.offsets
        walked.append(state)
    return walked, used


def _shares_below(
    moves: FloatArray, ends: FloatArray
) -> tuple[FloatArray, int]:
    """Share of the moves that lie below each end, and how many there are."""
    known = moves[np.isfinite(moves)]
    if not known.size:
        return np.array(PROBABILITIES), 0
    return (known[:, None] < ends).mean(axis=0), known.size


def coverage_is_broken(
    shares_inside_80: FloatArray, *, horizon_bars: int
) -> npt.NDArray[np.bool_]:
    """Whether 80% bands have held less or more than chance explains.

    Every bar is one observation of the market, however many series it has, and
    as many as the horizon has bars are one: the share inside must lie further
    from 0.8 than three standard errors of so many coin tosses.

    Parameters
    ----------
    shares_inside_80 : ndarray of shape (n, n_bars)
        In each row the bars that are looked back at; NaN where nothing settled.
    horizon_bars : int

    Returns
    -------
    ndarray of bool of shape (n,)

    Examples
    --------
    >>> shares = np.full((1, 60), 0.5)
    >>> coverage_is_broken(shares, horizon_bars=1).tolist()
    [True]
    >>> coverage_is_broken(shares, horizon_bars=20).tolist()
    [False]
    """
    known = np.isfinite(shares_inside_80)
    counts = known.sum(axis=1)
    means = np.where(known, shares_inside_80, 0.0).sum(axis=1) / np.maximum(
        counts, 1
    )
    periods = counts / horizon_bars
    errors = np.sqrt(0.8 * 0.2 / np.maximum(periods, 1))
    broken: npt.NDArray[np.bool_] = (periods >= 1) & (
        np.abs(means - 0.8) > BROKEN_ERRORS * errors
    )
    return broken
