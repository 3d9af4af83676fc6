import numpy as np
import pytest

from python_ml.scoring.band_walk import BandWindows, Moves, walk

WINDOWS = BandWindows(
    pool_bars=60, factor_bars=40, refresh_bars=5, warm_up_bars=20
)
N_BARS, N_SERIES, H = 200, 4, 3


@pytest.fixture(scope="module")
def moves():
    random = np.random.default_rng(11)
    values = random.standard_t(4, size=(N_BARS, N_SERIES))
    values[random.random(values.shape) < 0.05] = np.nan
    return Moves((3, 5, 8, 9), 1000, values, np.tile([1, 2], N_BARS // 2), 2, H)


def with_values(moves, values):
    return Moves(
        moves.symbol_ids,
        moves.first_bar_number,
        values,
        moves.places,
        moves.session_bars,
        moves.horizon_bars,
    )


def as_numbers(walked):
    states, distributions = walked
    return (
        [(s.bar_number, s.from_bar_number, s.n_outcomes) for s in states],
        np.array([s.offsets for s in states]),
        {
            n: (d.quantiles.tolist(), d.factors)
            for n, d in distributions.items()
        },
    )


def assert_same(walked, others):
    found, expected = as_numbers(walked), as_numbers(others)
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[2] == expected[2]


def settled_later(moves, bar_number):
    """Rows of moves whose target bar closes after a bar."""
    return slice(bar_number - H + 1 - moves.first_bar_number, None)


def test_a_state_knows_no_outcome_that_settles_later(moves):
    bars = range(1070, 1150)
    walked = walk(moves, bars, WINDOWS)
    values = moves.values.copy()
    values[settled_later(moves, bars[-1])] = 99.0
    assert_same(walk(with_values(moves, values), bars, WINDOWS), walked)


def test_a_state_knows_the_outcome_that_has_just_settled(moves):
    """The walk above would pass if it looked at nothing at all."""
    bars = range(1070, 1150)
    values = moves.values.copy()
    values[settled_later(moves, bars[-1] - 1)] = 99.0
    found = walk(with_values(moves, values), bars, WINDOWS)[0]
    expected = walk(moves, bars, WINDOWS)[0]
    assert (found[-1].offsets != expected[-1].offsets).any()
    np.testing.assert_array_equal(found[-2].offsets, expected[-2].offsets)


def test_bar_by_bar_is_the_same_as_at_once(moves):
    bars = range(1070, 1150)
    states, distributions = {}, {}
    last = None
    for bar_number in bars:
        # Of all that has been loaded by then, and no more.
        known = bar_number - H - moves.first_bar_number + 1
        part = Moves(
            moves.symbol_ids,
            moves.first_bar_number,
            moves.values[:known],
            moves.places[:known],
            2,
            H,
        )
        start = bar_number if last is None else last
        walked, used = walk(
            part,
            range(start, bar_number + 1),
            WINDOWS,
            states=states,
            distributions=distributions,
        )
        states.update({state.bar_number: state for state in walked})
        distributions.update(used)
        last = bar_number
    assert_same(
        ([states[n] for n in bars], distributions), walk(moves, bars, WINDOWS)
    )


def test_what_is_kept_is_not_made_again(moves):
    """Restated moves change what comes, not what stands."""
    first, distributions = walk(moves, range(1070, 1100), WINDOWS)
    restated = with_values(moves, moves.values * 2)
    again, used = walk(
        restated,
        range(1070, 1120),
        WINDOWS,
        states={state.bar_number: state for state in first},
        distributions=distributions,
    )
    assert [s.offsets.tolist() for s in again[:30]] == [
        s.offsets.tolist() for s in first
    ]
    assert used[1095] is distributions[1095]
    assert used[1110].quantiles[0, 5] > 1.5 * used[1095].quantiles[0, 5]


def test_states_kept_by_another_refresh_serve_as_they_are(moves):
    kept, distributions = walk(moves, range(1070, 1100), WINDOWS)
    others = BandWindows(
        pool_bars=60, factor_bars=40, refresh_bars=7, warm_up_bars=20
    )
    states, used = walk(
        moves,
        range(1070, 1110),
        others,
        states={state.bar_number: state for state in kept},
        distributions=distributions,
    )
    assert states[:30] == kept
    assert used[1095] is distributions[1095]
    assert {s.from_bar_number for s in states[30:]} == {1099, 1106}


def test_a_time_without_outcomes_moves_nothing(moves):
    values = moves.values.copy()
    values[100] = np.nan
    states = walk(with_values(moves, values), range(1095, 1105), WINDOWS)[0]
    at = 1100 + H - 1095
    assert states[at].n_outcomes == 0
    np.testing.assert_array_equal(states[at].offsets, states[at - 1].offsets)
    assert states[at + 1].n_outcomes > 0


def test_before_any_outcome_there_is_the_prior(moves):
    states, distributions = walk(moves, range(1000, 1001), WINDOWS)
    assert states[0].offsets.tolist() == [0.0] * 7
    assert distributions[1000].n_moves == 0
    assert distributions[1000].quantiles[0] == pytest.approx(
        [-2.32, -1.33, -0.65, 0, 0.65, 1.33, 2.32], abs=0.01
    )


def test_a_new_symbol_has_the_scale_of_all(moves):
    distributions = walk(moves, range(1100, 1101), WINDOWS)[1]
    more = Moves(
        (3, 5, 8, 9, 12),
        1000,
        np.column_stack([moves.values, moves.values[:, 0]]),
        moves.places,
        2,
        H,
    )
    states = walk(
        more, range(1100, 1102), WINDOWS, distributions=distributions
    )[0]
    assert states[0].n_outcomes == int(np.isfinite(more.values[97]).sum())
