from itertools import product

import numpy as np
import pytest

from app.stats.two_phase import two_phase_score

FIRST = np.array([0.2, 0.5, 0.9, 0.4])
WHOLE = np.array([0.35, 0.4, 0.9, 0.1])
CHANCE = np.array([0.2, 0.6, 0.3, 1.0])


def every_draw():
    """Two-phase scores of all draws, with the chance of each."""
    for asked in product((False, True), repeat=4):
        drawn = np.array(asked)
        chance = float(np.prod(np.where(drawn, CHANCE, 1 - CHANCE)))
        yield chance, two_phase_score(first=FIRST, whole=np.where(drawn, WHOLE, FIRST), weight=1 / CHANCE)


def test_over_all_draws_the_mean_is_that_of_whole_panels_and_the_variance_is_the_stated_one():
    mean = sum(chance * score for chance, score in every_draw())
    assert mean == pytest.approx(WHOLE)
    variance = sum(chance * (score - WHOLE) ** 2 for chance, score in every_draw())
    assert variance == pytest.approx((1 - CHANCE) / CHANCE * (WHOLE - FIRST) ** 2)


def test_a_weight_of_zero_leaves_the_first_stage_alone_to_speak():
    found = two_phase_score(first=FIRST, whole=WHOLE, weight=np.zeros(4))
    assert found.tolist() == FIRST.tolist()


def test_what_one_stage_cannot_say_the_other_says():
    nan = np.nan
    found = two_phase_score(
        first=np.array([nan, 0.5, nan]), whole=np.array([0.3, nan, nan]), weight=np.full(3, 2.0)
    )
    assert found[:2].tolist() == [0.3, 0.5]
    assert np.isnan(found[2])
