"""A stratified draw: floors, proportions, and chances that are what they say."""

from itertools import product

import numpy as np
import pytest

from app.stats.stratified_draw import allocate, draw_stratified


def test_every_cell_gets_its_floor_and_the_rest_goes_by_size():
    assert allocate(np.array([70, 20, 9, 1]), 20, 2).tolist() == [13, 4, 2, 1]
    assert allocate(np.array([5, 5]), 99, 2).tolist() == [5, 5]
    assert allocate(np.array([9, 9, 9]), 5, 2) is None
    assert allocate(np.array([9, 9, 9]), 5, 1).tolist() == [2, 2, 1]


@pytest.mark.parametrize("size", [(50, 30, 20), (41, 33, 7, 19), (1, 2, 97)])
def test_no_allocation_with_the_floor_is_nearer_to_proportional(size):
    # Webster's rule minimises sum n_h (N_h / n_h - N / n)^2, here against every allocation there is.
    sizes, count = np.array(size), 10

    def distance(given: np.ndarray) -> float:
        return float((given * (sizes / given - sizes.sum() / count) ** 2).sum())

    allowed = [
        np.array(one)
        for one in product(*(range(1, min(total, count) + 1) for total in size))
        if sum(one) == count
    ]
    assert distance(allocate(sizes, count, 1)) == pytest.approx(min(map(distance, allowed)))


def test_units_come_as_often_as_their_logged_chance_says():
    rng = np.random.default_rng(4)
    cell = np.repeat([0, 1, 2], [12, 5, 3])
    allocation = allocate(np.bincount(cell), 8, 2)
    times, logged = np.zeros(20), np.full(20, np.nan)
    for _ in range(4_000):
        drawn = draw_stratified(cell, allocation, rng)
        assert np.unique(drawn.row).size == 8
        times[drawn.row] += 1
        logged[drawn.row] = drawn.inclusion
    # Three standard errors of a share of 4,000 draws: 0.024 at most; over 20 units, four.
    assert np.abs(times / 4_000 - logged).max() < 0.032
