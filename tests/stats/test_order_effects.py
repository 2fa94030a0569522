import numpy as np
import pytest

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.order_effects import order_flips, position_effect_lists, position_effect_pairs


def pairs(rng, *, n=400, bias=0.0, both=True):
    """Verdicts of a judge that picks the first answer with 1/2 + bias among equals."""
    quality = np.clip(rng.normal(0, 0.2, n), -0.4, 0.4)
    unit = np.tile(np.arange(n), 2) if both else np.arange(n)
    first = np.repeat([True, False], n) if both else rng.random(n) < 0.5
    chance = 0.5 + quality[unit] / 2 + bias * np.where(first, 1, -1)
    return np.where(rng.random(len(unit)) < chance, 1.0, -1.0), first, unit


@pytest.mark.parametrize("both", [True, False])
def test_a_planted_position_effect_is_recovered_and_covered(both):
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        value, first, unit = pairs(rng, bias=0.06, both=both)
        found.append(
            position_effect_pairs(value=value, first_shown=first, pair=unit, prompt=unit, contrast=0 * unit)
        )
    assert np.mean([e.estimate for e in found]) == pytest.approx(0.06, abs=0.006)
    assert np.mean([e.low <= 0.06 <= e.high for e in found]) >= 0.91


def test_with_both_orders_it_is_the_share_of_first_picks():
    value, first, unit = pairs(np.random.default_rng(2), bias=0.1)
    picks = np.where(first, value, -value) > 0
    got = position_effect_pairs(value=value, first_shown=first, pair=unit, prompt=unit, contrast=0 * unit)
    assert got.estimate == pytest.approx(picks.mean() - 0.5)


def test_a_better_system_that_always_stands_first_is_not_taken_for_position():
    rng = np.random.default_rng(3)
    contrast = np.repeat([0, 1], 200)
    first = contrast == 0  # in the first contrast the better system always stands first
    value = np.where(rng.random(400) < np.where(contrast == 0, 0.9, 0.5), 1.0, -1.0)
    with pytest.raises(NotIdentified):
        position_effect_pairs(
            value=value, first_shown=first, pair=np.arange(400), prompt=np.arange(400), contrast=contrast
        )


def test_one_order_only_identifies_no_position():
    with pytest.raises(NotIdentified):
        position_effect_pairs(
            value=np.ones(200),
            first_shown=np.ones(200, bool),
            pair=np.arange(200),
            prompt=np.arange(200),
            contrast=np.zeros(200, int),
        )


def test_few_verdicts_are_too_little_data():
    value, first, unit = pairs(np.random.default_rng(4), n=20)
    with pytest.raises(InsufficientData):
        position_effect_pairs(value=value, first_shown=first, pair=unit, prompt=unit, contrast=0 * unit)


def test_flips_count_pairs_whose_preference_hangs_on_the_order():
    unit = np.tile(np.arange(40), 2)
    first = np.repeat([True, False], 40)
    value = np.where(unit < 10, np.where(first, 1.0, -1.0), 1.0)  # ten pairs go to whoever stands first
    got = order_flips(value=value, first_shown=first, pair=unit, prompt=unit)
    assert got.estimate == pytest.approx(0.25)
    assert got.n == 40


def test_a_planted_slope_over_places_of_a_list_is_recovered():
    rng = np.random.default_rng(5)
    seating = np.repeat(np.arange(200), 4)
    place = np.concatenate([rng.permutation(4) for _ in range(200)])
    value = rng.normal(3, 1, 200)[seating] + rng.normal(0, 0.5, 800) - 0.3 * place / 3
    got = position_effect_lists(value=value, place=place, seating=seating, prompt=seating)
    assert got.low <= -0.3 <= got.high
    assert got.estimate == pytest.approx(-0.3, abs=0.15)
