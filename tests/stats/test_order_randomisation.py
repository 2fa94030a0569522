"""The test of redrawn orders, against every order that could have been drawn, and on planted effects."""

from itertools import permutations, product

import numpy as np
import pytest

from app.stats import order_randomisation
from app.stats.order_randomisation import DRAWS, randomisation_p_lists, randomisation_p_pairs


def verdicts(rng, *, n, position, both=False):
    """One verdict per pair in a random order, or two in both orders."""
    pair = np.repeat(np.arange(n), 2) if both else np.arange(n)
    first = np.tile([True, False], n) if both else rng.random(n) < 0.5
    quality = rng.normal(0, 1, n)[pair]
    value = np.sign(quality + position * np.where(first, 1, -1) + 0.5 * rng.normal(0, 1, len(pair)))
    return {"value": value, "first_shown": first, "pair": pair, "contrast": np.zeros_like(pair)}


def test_pairs_read_in_both_orders_agree_with_all_swaps():
    about = verdicts(np.random.default_rng(1), n=12, position=0.8, both=True)
    apart = about["value"].reshape(12, 2) @ [1, -1]
    every = np.array([np.dot(signs, apart) for signs in product((-1, 1), repeat=12)])
    exact = np.mean(np.abs(every) >= abs(apart.sum()) - 1e-9)
    error = 4 * np.sqrt(exact * (1 - exact) / DRAWS)
    assert randomisation_p_pairs(**about) == pytest.approx(exact, abs=error + 1 / DRAWS)


def test_pairs_read_once_agree_with_all_exchanges_of_orders():
    rng = np.random.default_rng(2)
    about = verdicts(rng, n=8, position=1.0)
    order = np.where(about["first_shown"], 1.0, -1.0)
    value = about["value"] - about["value"].mean()
    every = np.array([np.dot(p, value) for p in permutations(order)])
    exact = np.mean(np.abs(every) >= abs(value @ order) - 1e-9)
    error = 4 * np.sqrt(exact * (1 - exact) / DRAWS)
    assert randomisation_p_pairs(**about) == pytest.approx(exact, abs=error + 1 / DRAWS)


@pytest.mark.parametrize("both", [False, True])
def test_it_is_silent_where_order_does_not_matter_and_speaks_where_it_does(both: bool):
    rng = np.random.default_rng(3)
    silent = [randomisation_p_pairs(**verdicts(rng, n=120, position=0.0, both=both)) for _ in range(200)]
    # 5% of 200, and three Monte Carlo errors of 1.5 points
    assert np.mean(np.array(silent) <= 0.05) <= 0.1
    planted = [randomisation_p_pairs(**verdicts(rng, n=120, position=0.6, both=both)) for _ in range(20)]
    assert np.mean(np.array(planted) <= 0.05) >= 0.9


def test_many_verdicts_take_the_normal_limit_of_the_same_test(monkeypatch):
    about = verdicts(np.random.default_rng(4), n=1500, position=0.05)
    drawn = randomisation_p_pairs(**about)
    monkeypatch.setattr(order_randomisation, "_MANY", 100)
    limit = randomisation_p_pairs(**about)
    assert limit == pytest.approx(drawn, abs=4 * np.sqrt(drawn * (1 - drawn) / DRAWS) + 0.01)


def test_orders_that_go_along_with_systems_do_no_harm():
    """The better system is shown first nine times in ten: that is no effect of position."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(100):
        contrast = rng.integers(0, 2, 200)
        first = rng.random(200) < np.where(contrast == 1, 0.9, 0.1)
        value = np.where(contrast == 1, 1.0, -1.0) * np.where(rng.random(200) < 0.8, 1, -1)
        found.append(
            randomisation_p_pairs(value=value, first_shown=first, pair=np.arange(200), contrast=contrast)
        )
    assert np.mean(np.array(found) <= 0.05) <= 0.12


def test_places_in_lists_are_tested_within_their_list():
    rng = np.random.default_rng(6)

    def p(effect: float) -> float:
        place = np.array([rng.permutation(4) for _ in range(60)]).ravel()
        seating = np.repeat(np.arange(60), 4)
        value = rng.normal(0, 1, 60)[seating] * 5 - effect * place + rng.normal(0, 1, 240)
        return randomisation_p_lists(value=value, place=place, seating=seating)

    assert np.mean([p(0.0) <= 0.05 for _ in range(100)]) <= 0.12
    assert np.mean([p(0.3) <= 0.05 for _ in range(20)]) >= 0.9
