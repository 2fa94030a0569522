import numpy as np
import pytest

from app.stats.swings import form_variance_of, mean_over_pairs, pairs_of_forms, shift_of, swing_of


def world(rng: np.random.Generator, n: int, noise: float, form: float, shift: float):
    """A judge whose verdicts have retest ``noise`` and, per form, an effect of its own: (change, repeat)."""
    first, again, other = noise * rng.standard_normal((3, n))
    effect = shift + form * rng.standard_normal(n)
    return other + effect - first, again - first


def test_what_a_repeat_moves_is_not_counted_as_a_swing():
    rng = np.random.default_rng(1)
    n, prompt = 4_000, np.arange(4_000) // 2
    moved, again = world(rng, n, noise=0.5, form=0.0, shift=0.0)
    swing, variance = swing_of(moved, again, prompt), form_variance_of(moved, again, prompt)
    assert abs(swing.estimate) < 4 * swing.std_error
    assert abs(variance.estimate) < 4 * variance.std_error
    assert swing_of(moved, None, prompt).low > 0.4  # without the repeat it would be


def test_planted_effects_are_recovered():
    rng = np.random.default_rng(2)
    n = 20_000
    moved, again = world(rng, n, noise=0.5, form=0.6, shift=0.2)
    variance, shift = form_variance_of(moved, again, np.arange(n)), shift_of(moved, np.arange(n))
    assert variance.estimate == pytest.approx((0.6**2 + 0.2**2) / 2, rel=0.05)
    assert shift.estimate == pytest.approx(0.2, abs=4 * shift.std_error)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)
    truth, worlds, held = (0.5**2) / 2, 400, 0
    prompt = np.repeat(np.arange(40), 2)
    for _ in range(worlds):
        shared = np.repeat(rng.standard_normal(40), 2) * 0.3
        own = np.sqrt(0.5**2 - 0.3**2) * rng.standard_normal(80)
        first, again, other = 0.4 * rng.standard_normal((3, 80))
        found = form_variance_of(other + shared + own - first, again - first, prompt)
        held += found.low <= truth <= found.high
    # A variance from 40 prompts is skewed, which costs the t interval a little; noise of 400 worlds is 1.1%.
    assert held / worlds == pytest.approx(0.95, abs=0.045)


def test_pairs_of_forms_are_those_of_brute_force():
    rng = np.random.default_rng(4)
    value = rng.integers(1, 6, (50, 4)).astype(float)
    value[rng.random((50, 4)) < 0.3] = np.nan
    pairs, apart, square = pairs_of_forms(value)
    every = []
    for row in value:
        known = row[np.isfinite(row)]
        every.append([known[a] - known[b] for a in range(len(known)) for b in range(a)])
    assert pairs.tolist() == [len(one) for one in every]
    flat = np.concatenate([np.array(one) for one in every])
    prompt = np.arange(50)
    assert mean_over_pairs(pairs, apart, prompt).estimate == pytest.approx(np.abs(flat).mean())
    assert mean_over_pairs(pairs, square, prompt).estimate == pytest.approx((flat**2).mean())
