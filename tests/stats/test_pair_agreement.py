"""Pairs of grades: against brute force on a few, and intervals that hold on many."""

import numpy as np
import pytest

from app.stats.agreement import agreement_among_people
from app.stats.agreement_ceiling import (
    agreement_of_the_mean,
    correlation_ceiling,
    exact_agreement_ceiling,
)
from app.stats.errors import InsufficientData
from app.stats.pair_agreement import (
    GradePairs,
    alpha_of_pairs,
    contrast_of_pairs,
    kappa_of_pairs,
    mean_of_pairs,
    share_of_pairs,
)
from app.stats.shares import share_of
from app.stats.stratified_draw import allocate, draw_stratified


def plain(first: np.ndarray, second: np.ndarray, **more: np.ndarray) -> GradePairs:
    """Every pair with weight 1, on an item of its own, of no finite set."""
    k = len(first)
    given = {"weight": np.ones(k), "prompt": np.arange(k), "drawn": np.zeros(k), **more}
    return GradePairs(first, second, **given)


@pytest.fixture
def some() -> GradePairs:
    rng = np.random.default_rng(7)
    truth = rng.integers(1, 6, 40)
    first, second = (np.clip(truth + rng.integers(-1, 2, 40), 1, 5).astype(float) for _ in range(2))
    return plain(first, second)


def test_equal_weights_are_the_plain_share_and_the_plain_alpha(some):
    apart = np.abs(some.first - some.second) > 1
    ours, known = share_of_pairs(apart, some), share_of(apart, some.prompt)
    assert (ours.estimate, ours.low, ours.high) == pytest.approx(
        (known.estimate, known.low, known.high), abs=1e-12
    )
    grades = np.concatenate([some.first, some.second])
    unit = np.tile(some.prompt, 2)
    for nominal in (False, True):
        alpha = alpha_of_pairs(some, nominal=nominal)
        brute = agreement_among_people(grade=grades, graded_unit=unit, prompt=unit, nominal=nominal)
        assert (alpha.estimate, alpha.low, alpha.high) == pytest.approx(
            (brute.estimate, brute.low, brute.high), abs=1e-9
        )


def test_a_weight_of_two_is_the_same_pair_twice(some):
    weight = np.where(np.arange(40) < 15, 2.0, 1.0)
    weighted = plain(some.first, some.second, weight=weight)
    rows = np.repeat(np.arange(40), weight.astype(int))
    twice = plain(some.first[rows], some.second[rows], prompt=some.prompt[rows])
    for sides in (False, True):
        assert kappa_of_pairs(weighted, sides=sides).estimate == pytest.approx(
            kappa_of_pairs(twice, sides=sides).estimate
        )
    gap = some.first - some.second
    assert mean_of_pairs(gap, weighted).estimate == pytest.approx(gap[rows].mean())
    assert mean_of_pairs(gap, weighted).std_error == pytest.approx(mean_of_pairs(gap[rows], twice).std_error)


def test_kappa_counted_from_the_table_of_both_graders(some):
    table = np.zeros((5, 5))
    np.add.at(table, (some.first.astype(int) - 1, some.second.astype(int) - 1), 1 / 40)
    square = (np.arange(5)[:, None] - np.arange(5)) ** 2
    cohen = 1 - (table * square).sum() / (np.outer(table.sum(1), table.sum(0)) * square).sum()
    both = (table.sum(1) + table.sum(0)) / 2
    scott = 1 - (table * square).sum() / (np.outer(both, both) * square).sum()
    assert kappa_of_pairs(some, sides=True).estimate == pytest.approx(cohen)
    assert kappa_of_pairs(some, sides=False).estimate == pytest.approx(scott)


def test_who_is_apart_is_the_difference_of_two_means(some):
    gap, mine = some.first - some.second, np.arange(40) % 3 == 0
    found = contrast_of_pairs(gap, mine, some)
    assert found.estimate == pytest.approx(gap[mine].mean() - gap[~mine].mean())
    assert found.low < found.estimate < found.high


def test_nothing_apart_is_not_known_to_be_never_apart():
    alike = plain(np.arange(50) % 5 + 1.0, np.arange(50) % 5 + 1.0)
    none = share_of_pairs(np.zeros(50, bool), alike)
    assert (none.estimate, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(0.0747, abs=0.001)  # t^2 / (50 + t^2) with t of 49 degrees of freedom
    with pytest.raises(InsufficientData):
        share_of_pairs(np.zeros(3, bool), plain(np.ones(3), np.ones(3), prompt=np.zeros(3, int)))


def test_a_set_that_was_graded_again_in_full_is_known():
    whole = plain(np.ones(12), np.ones(12), drawn=np.ones(12))
    share = share_of_pairs(np.arange(12) < 3, whole)
    assert (share.low, share.estimate, share.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize(("rates", "size"), [((0.05, 0.4), (150, 50)), ((0.1, 0.1), (400, 100)),
                                             ((0.3, 0.0), (60, 30))])  # fmt: skip
def test_intervals_hold_the_share_of_the_set_that_was_drawn_from(rates, size):
    rng = np.random.default_rng(11)
    cell = np.repeat([0, 1], size)
    allocation = allocate(np.array(size), 50, 2)
    held, widths = 0, []
    for _ in range(1_000):
        apart = rng.random(cell.size) < np.array(rates)[cell]
        drawn = draw_stratified(cell, allocation, rng)
        pairs = plain(
            np.ones(50), np.ones(50), weight=1 / drawn.inclusion, drawn=drawn.inclusion, prompt=drawn.row
        )
        share = share_of_pairs(apart[drawn.row], pairs)
        held += share.low <= apart.mean() <= share.high
        widths.append(share.high - share.low)
    # A stratified draw varies less than the interval allows for. 1,000 draws: one standard error is .007.
    assert held / 1_000 >= 0.935
    assert np.mean(widths) < 0.25


def test_what_people_leave_for_a_judge_to_reach():
    rng = np.random.default_rng(3)
    for rho in (0.3, 0.7):
        truth = rng.normal(0, np.sqrt(rho), 200_000)
        grade = truth + rng.normal(0, np.sqrt(1 - rho), 200_000)
        judges = {spread: spread * truth for spread in (1.0, 1 / np.sqrt(rho), 2.0)}
        alphas = {spread: alpha_of_pairs(plain(judge, grade)).estimate for spread, judge in judges.items()}
        # 200,000 answers: standard errors of about .002.
        assert np.corrcoef(truth, grade)[0, 1] == pytest.approx(correlation_ceiling(rho), abs=0.006)
        assert alphas[1.0] == pytest.approx(agreement_of_the_mean(rho), abs=0.006)
        assert max(alphas.values()) <= correlation_ceiling(rho) + 0.006


@pytest.mark.parametrize("categories", [2, 3, 5])
def test_no_judge_names_peoples_category_more_often_than_the_ceiling(categories):
    rng = np.random.default_rng(5)
    for concentration in (0.1, 0.5, 3.0):
        shares = rng.dirichlet(np.full(categories, concentration), 5_000)
        best, agreeing = shares.max(1).mean(), (shares**2).sum(1).mean()
        assert agreeing <= best <= exact_agreement_ceiling(agreeing, categories) + 1e-9
    sharp = np.full((1, categories), 0.2 / max(categories - 1, 1))
    sharp[0, 0] = 0.8
    assert exact_agreement_ceiling(float((sharp**2).sum()), categories) == pytest.approx(0.8)
