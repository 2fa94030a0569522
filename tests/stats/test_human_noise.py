import numpy as np
import pytest

from app.stats.human_noise import graded_units


def grades(rng, units=60, severities=(0.0, 0.3, -0.2), noise=0.1):
    """Two people of three for every unit, the second for half of them only."""
    two = np.array([rng.permutation(len(severities))[:2] for _ in range(units)])
    unit = np.r_[np.arange(units), np.arange(0, units, 2)]
    person = np.r_[two[:, 0], two[::2, 1]]
    theta = rng.normal(0.5, 0.2, units)
    return theta[unit] + np.array(severities)[person] + rng.normal(0, noise, len(unit)), unit, person


def noise_of(found):
    return found.within.sum() / (found.count - 1).sum()


def test_noise_beside_severities_is_that_of_a_regression_on_units_and_people():
    value, unit, person = grades(np.random.default_rng(1), units=120)
    found = graded_units(grade=value, graded_unit=unit, annotator=person)
    dummies = np.hstack([np.eye(120)[unit], np.eye(3)[person]])
    fitted = dummies @ np.linalg.lstsq(dummies, value, rcond=None)[0]
    freedom = len(value) - np.linalg.matrix_rank(dummies)
    assert noise_of(found) == pytest.approx(((value - fitted) ** 2).sum() / freedom)
    assert (found.mean * found.count).sum() == pytest.approx(value.sum())


def test_who_is_severe_does_not_matter_where_many_units_are_shared():
    value, unit, person = grades(np.random.default_rng(2), units=120)
    harsher = value - 0.4 * (person == 1)
    one = graded_units(grade=value, graded_unit=unit, annotator=person)
    two = graded_units(grade=harsher, graded_unit=unit, annotator=person)
    np.testing.assert_allclose(two.within, one.within, atol=1e-12)
    np.testing.assert_allclose(two.mean - two.mean.mean(), one.mean - one.mean.mean(), atol=1e-12)
    assert noise_of(graded_units(grade=harsher, graded_unit=unit)) > 2 * noise_of(two)


def test_people_with_few_shared_grades_stay_part_of_the_noise():
    value, unit, person = grades(np.random.default_rng(3), units=120)
    each = np.arange(len(value))  # everyone graded once
    plain = graded_units(grade=value, graded_unit=unit)
    found = graded_units(grade=value, graded_unit=unit, annotator=each)
    np.testing.assert_array_equal(found.mean, plain.mean)
    np.testing.assert_array_equal(found.within, plain.within)
    assert not np.allclose(graded_units(grade=value, graded_unit=unit, annotator=person).mean, plain.mean)


def test_no_grades_are_no_units():
    none = np.zeros(0, dtype=np.int64)
    assert graded_units(grade=np.zeros(0), graded_unit=none, annotator=none).unit.size == 0
