import numpy as np

from app.stats.comparison_graph import components, never_beaten


def graph(*pairs):
    return (np.array(column) for column in zip(*pairs, strict=True))


def test_systems_that_nothing_connects_are_told_apart_the_largest_set_first():
    first, second = graph((3, 4), (0, 1), (1, 2))
    assert components(first, second, 6) == [[0, 1, 2], [3, 4], [5]]


def test_a_round_of_wins_has_finite_strengths():
    first, second = graph((0, 1), (1, 2), (0, 2))
    assert never_beaten(first, second, np.array([1.0, 1.0, 0.0]), 3) == []


def test_a_single_tie_is_a_point_for_both():
    first, second = graph((0, 1))
    assert never_beaten(first, second, np.array([0.9]), 2) == []
    assert never_beaten(first, second, np.array([1.0]), 2) == [[0]]
    assert never_beaten(first, second, np.array([0.0]), 2) == [[1]]


def test_the_set_that_was_never_beaten_is_named_and_not_the_beaten_ones():
    # 2 and 3 beat each other and everyone; 0 and 1 beat each other; 4 loses to all
    first, second = graph((2, 3), (2, 0), (3, 1), (0, 1), (0, 4), (1, 4))
    rate = np.array([0.5, 1.0, 1.0, 0.5, 1.0, 1.0])
    assert never_beaten(first, second, rate, 5) == [[2, 3]]
    assert never_beaten(second, first, rate, 5) == [[4]]  # the other way round: never won
