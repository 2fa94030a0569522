"""A judge's position effect from verdicts in the order shown."""

import numpy as np
import pytest

from app.stats.position import estimate_position, shrink_positions

STRENGTH = np.array([0.5, 0.1, -0.2, -0.4])


def shown(n: int, effect: float, rng: np.random.Generator, randomised: bool = True):
    a = rng.integers(0, 4, n)
    b = (a + rng.integers(1, 4, n)) % 4
    if not randomised:
        a, b = np.minimum(a, b), np.maximum(a, b)
    y = STRENGTH[a] - STRENGTH[b] + effect + 0.5 * rng.standard_normal(n)
    return {"shown": y, "unit": np.arange(n), "first": a, "second": b, "systems": 4}


def test_a_planted_effect_is_recovered_and_covered() -> None:
    hits = 0
    for seed in range(200):
        found = estimate_position(**shown(150, 0.2, np.random.default_rng(seed)))
        hits += abs(found.effect - 0.2) <= 1.96 * found.se
    assert hits >= 180  # 190 expected of 200, standard deviation 3


def test_a_fixed_order_is_told_from_quality_by_the_systems_other_pairs() -> None:
    found = estimate_position(**shown(3000, 0.2, np.random.default_rng(1), randomised=False))
    assert found.identified
    assert found.effect == pytest.approx(0.2, abs=3 * found.se)


def test_two_systems_in_one_order_cannot_tell_position_from_quality() -> None:
    n = 100
    found = estimate_position(
        shown=np.ones(n), unit=np.arange(n), first=np.zeros(n, int), second=np.ones(n, int), systems=2
    )
    assert not found.identified
    assert "one order" in str(found.why)


def test_both_orders_cancel_the_pairs_quality_exactly() -> None:
    rng = np.random.default_rng(2)
    quality = 10 * rng.standard_normal(40)
    y = np.concatenate([quality + 0.3, -quality + 0.3])
    zeros, ones = np.zeros(40, int), np.ones(40, int)
    found = estimate_position(
        shown=y,
        unit=np.tile(np.arange(40), 2),
        first=np.r_[zeros, ones],
        second=np.r_[ones, zeros],
        systems=2,
    )
    assert found.effect == pytest.approx(0.3)


def test_few_verdicts_say_nothing() -> None:
    found = estimate_position(**shown(19, 0.2, np.random.default_rng(3)))
    assert not found.identified
    assert "20 needed" in str(found.why)


def test_shrinking_leaves_firm_effects_and_drops_unknown_ones() -> None:
    pulled = shrink_positions(np.array([0.4, 0.4, 0.0]), np.array([0.01, 0.4, np.inf]))
    assert pulled[0] == pytest.approx(0.4, rel=0.01)
    assert 0 < pulled[1] < 0.3
    assert pulled[2] == 0.0
