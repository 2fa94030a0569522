"""Power to tell a share from a line, against the exact distributions that the formula stands for."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from app.stats.share_power import draws_for_power, least_told, power_of

LINE, TRUE = 0.15, 0.25


def exact_power(count: int, true: float, population: int | None) -> float:
    """Chance that the score test of the line rejects upwards, summed over every outcome."""
    spread = LINE * (1 - LINE) / count
    if population is not None:
        spread *= (population - count) / (population - 1)
    hits = np.arange(count + 1)
    rejects = (hits / count - LINE) / sqrt(spread) > stats.norm.ppf(0.975)
    if population is None:
        chance = stats.binom.pmf(hits, count, true)
    else:
        chance = stats.hypergeom.pmf(hits, population, round(true * population), count)
    return float(chance[rejects].sum())


def test_the_textbook_number_for_a_quarter_against_fifteen_percent():
    # (1.959964 sqrt(.1275) + .841621 sqrt(.1875))^2 / .01 = 113.26
    assert draws_for_power(0.8, line=LINE, true=TRUE) == 114
    assert draws_for_power(0.8, line=LINE, true=TRUE, population=200) == 73  # 113.26 / (1 + 112.26 / 200)
    assert power_of(50, line=LINE, true=TRUE) == pytest.approx(0.507, abs=0.001)


@pytest.mark.parametrize("population", [None, 120, 400])
@pytest.mark.parametrize("true", [0.25, 0.3, 0.4])
def test_the_formula_follows_the_exact_power(true, population):
    # The exact power goes up and down in steps of one outcome, worth up to .1 at these counts; averaged
    # over neighbouring counts what is left is the error of the normal approximation.
    counts = range(45, 66)
    exact = np.mean([exact_power(n, true, population) for n in counts])
    said = np.mean([power_of(n, line=LINE, true=true, population=population) for n in counts])
    assert said == pytest.approx(exact, abs=0.04)


@pytest.mark.parametrize("population", [None, 90, 1_000])
def test_the_fewest_draws_and_the_least_share_are_the_inverse_of_the_power(population):
    n = draws_for_power(0.8, line=LINE, true=0.3, population=population)
    assert power_of(n, line=LINE, true=0.3, population=population) >= 0.8
    assert power_of(n - 1, line=LINE, true=0.3, population=population) < 0.8
    least = least_told(50, line=LINE, power=0.8, population=population)
    assert power_of(50, line=LINE, true=least, population=population) == pytest.approx(0.8)


def test_a_set_graded_in_full_tells_everything_and_two_draws_next_to_nothing():
    assert power_of(30, line=LINE, true=0.16, population=30) == 1.0
    assert draws_for_power(0.99, line=LINE, true=0.16, population=30) == 30
    assert least_told(30, line=LINE, power=0.8, population=30) == LINE
    assert least_told(1, line=LINE, power=0.8) is not None
    assert power_of(2, line=LINE, true=TRUE) < 0.2
