from itertools import combinations, permutations

import numpy as np
import pytest

from app.stats.agreement import agreement_among_people, agreement_with_people
from app.stats.errors import InsufficientData, NotIdentified


def alpha_by_hand(units, distance):
    """Krippendorff's alpha from its definition: all ordered pairs within units over all ordered pairs."""
    values = [v for unit in units for v in unit]
    n = len(values)
    observed = (
        sum(sum(distance(a, b) for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / n
    )
    expected = sum(2 * distance(a, b) for a, b in combinations(values, 2)) / (n * (n - 1))
    return 1 - observed / expected


def squared(a, b):
    return (a - b) ** 2


def unequal(a, b):
    return float(a != b)


@pytest.mark.parametrize(("nominal", "distance"), [(False, squared), (True, unequal)])
def test_agreement_among_people_equals_the_definition(nominal, distance):
    rng = np.random.default_rng(1)
    unit = np.repeat(np.arange(30), rng.integers(2, 5, 30))
    grade = np.clip(np.round(rng.normal(3, 1, 30)[unit] + rng.normal(0, 0.7, len(unit))), 1, 5)
    got = agreement_among_people(grade=grade, graded_unit=unit, prompt=unit, nominal=nominal)
    assert got.estimate == pytest.approx(alpha_by_hand([grade[unit == u] for u in range(30)], distance))


@pytest.mark.parametrize(("nominal", "distance"), [(False, squared), (True, unequal)])
def test_agreement_with_one_person_equals_the_definition_for_two_raters(nominal, distance):
    rng = np.random.default_rng(2)
    judge = rng.integers(1, 6, 40).astype(float)
    human = np.clip(judge + rng.integers(-1, 2, 40), 1, 5).astype(float)
    unit = np.arange(40) + 7
    got = agreement_with_people(
        judge=judge, unit=unit, grade=human, graded_unit=unit, prompt=unit, nominal=nominal
    )
    pairs = list(zip(judge, human, strict=True))
    assert got.estimate == pytest.approx(alpha_by_hand(pairs, distance))


def test_a_judge_that_repeats_people_agrees_perfectly_and_a_random_one_by_chance():
    rng = np.random.default_rng(3)
    human = rng.integers(1, 6, 500).astype(float)
    unit = np.arange(500)
    same = agreement_with_people(judge=human, unit=unit, grade=human, graded_unit=unit, prompt=unit)
    chance = agreement_with_people(
        judge=rng.permutation(human), unit=unit, grade=human, graded_unit=unit, prompt=unit
    )
    assert same.estimate == pytest.approx(1)
    assert chance.low <= 0 <= chance.high


def test_units_that_the_judge_did_not_see_do_not_count():
    rng = np.random.default_rng(4)
    human = rng.integers(1, 6, 80).astype(float)
    judge = np.clip(human + rng.integers(-1, 2, 80), 1, 5)
    unit = np.arange(80)
    half = agreement_with_people(
        judge=judge[:40], unit=unit[:40], grade=human[:40], graded_unit=unit[:40], prompt=unit[:40]
    )
    more = agreement_with_people(
        judge=judge[:40], unit=unit[:40], grade=human, graded_unit=unit, prompt=unit[:40]
    )
    assert more == half


def test_agreement_on_a_constant_says_nothing():
    unit = np.arange(40)
    with pytest.raises(NotIdentified):
        agreement_with_people(
            judge=np.full(40, 3.0), unit=unit, grade=np.full(40, 3.0), graded_unit=unit, prompt=unit
        )


def test_few_shared_units_are_too_little_data():
    unit = np.arange(10)
    with pytest.raises(InsufficientData):
        agreement_with_people(judge=unit * 1.0, unit=unit, grade=unit * 1.0, graded_unit=unit, prompt=unit)


def test_the_interval_covers_a_known_agreement():
    """Two raters with the same reliable part: alpha tends to the intraclass correlation."""
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(200):
        part = rng.normal(0, 1, 100)
        judge, human = part + rng.normal(0, 1, 100), part + rng.normal(0, 1, 100)
        unit = np.arange(100)
        got = agreement_with_people(judge=judge, unit=unit, grade=human, graded_unit=unit, prompt=unit)
        covered.append(got.low <= 0.5 <= got.high)
    assert np.mean(covered) >= 0.91  # nominal .95, Monte Carlo error 1.5 points
