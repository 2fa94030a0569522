"""Strengths against a log-linear model, their errors against refits without each prompt, and refusals."""

import numpy as np
import pytest
import statsmodels.api as sm

from app.stats.davidson import outcomes
from app.stats.errors import InsufficientData
from app.stats.rankings import rank_systems
from app.stats.rectified_strengths import strengths_of

TRUE = np.array([-0.9, -0.3, 0.0, 0.4, 0.8])


def drawn(seed=0, prompts=80, per_prompt=3, log_ties=-0.3, systems=5):
    """First, second, prompt and outcome (1, .5, 0) of pairs drawn at random."""
    rng = np.random.default_rng(seed)
    pairs = np.array([rng.choice(systems, 2, replace=False) for _ in range(prompts * per_prompt)])
    chance = outcomes(TRUE[pairs[:, 0]] - TRUE[pairs[:, 1]], log_ties)
    u = rng.random(len(pairs))
    y = np.where(u < chance.win, 1.0, np.where(u < chance.win + chance.tie, 0.5, 0.0))
    return pairs[:, 0], pairs[:, 1], np.repeat(np.arange(prompts), per_prompt), y


def ranked(first, second, prompt, y, prediction=None, **more):
    known = np.isfinite(y)
    return rank_systems(
        first=first, second=second, prompt=prompt, preference=y, ties=np.where(known, y == 0.5, np.nan),
        prediction=np.full(y.size, np.nan) if prediction is None else prediction,
        systems=int(max(first.max(), second.max())) + 1, **more,
    )  # fmt: skip


def test_from_people_alone_strengths_are_those_of_the_log_linear_model():
    """Davidson's model as a Poisson regression of counts by pair and outcome (Fienberg 1979)."""
    first, second, prompt, y = drawn()
    found = ranked(first, second, prompt, y)
    rows, counts = [], []
    pairs = [(i, k) for i in range(5) for k in range(i + 1, 5)]
    for p, (i, k) in enumerate(pairs):
        for value in (1.0, 0.5, 0.0):
            row = np.zeros(len(pairs) + 6)
            row[p], row[len(pairs) + i], row[len(pairs) + k] = 1, value, -value
            row[-1] = value == 0.5
            rows.append(row)
            counts.append(
                np.sum((first == i) & (second == k) & (y == value))
                + np.sum((first == k) & (second == i) & (y == 1 - value))
            )
    kept = np.delete(np.array(rows), len(pairs), axis=1)  # system 0 is the reference
    fit = sm.GLM(np.array(counts), kept, family=sm.families.Poisson()).fit(tol=1e-12, maxiter=200)
    theirs = np.append(0.0, fit.params[len(pairs) : -1])
    np.testing.assert_allclose(found.strength, theirs - theirs.mean(), atol=1e-7)  # both solved to 1e-9
    np.testing.assert_allclose(found.log_ties, fit.params[-1], atol=1e-7)
    assert found.tie_rate == pytest.approx(np.mean(y == 0.5))  # its own equation


def test_without_ties_strengths_are_a_logistic_regression():
    first, second, prompt, y = drawn(log_ties=-np.inf)
    found = ranked(first, second, prompt, y)
    x = np.eye(5)[first] - np.eye(5)[second]
    theirs = np.append(0.0, sm.Logit(y, x[:, 1:]).fit(disp=0, tol=1e-12).params)
    np.testing.assert_allclose(found.strength, theirs - theirs.mean(), atol=1e-7)
    assert found.log_ties == -np.inf
    assert found.tie_rate == 0.0


def test_errors_are_those_of_leaving_out_each_prompt():
    first, second, prompt, y = drawn(prompts=60)
    found = ranked(first, second, prompt, y)
    left = []
    for one in range(60):
        kept = prompt != one
        left.append(strengths_of(
            first=first[kept], second=second[kept], win_rate=y[kept], ties=(y[kept] == 0.5) * 1.0, systems=5
        )[0])  # fmt: skip
    moved = np.array(left) - found.strength
    brute = moved.T @ moved
    # one Newton step in place of a refit: of second order in what a prompt moves
    np.testing.assert_allclose(np.diag(found.covariance), np.diag(brute), rtol=0.03)


def test_which_system_is_written_first_does_not_matter():
    first, second, prompt, y = drawn()
    prediction = np.clip(y + 0.3 * np.random.default_rng(1).standard_normal(y.size), 0, 1)
    y[prompt >= 50] = np.nan
    turned = np.arange(y.size) % 2 == 0
    one = ranked(first, second, prompt, y, prediction)
    other = ranked(
        np.where(turned, second, first), np.where(turned, first, second), prompt, np.where(turned, 1 - y, y),
        np.where(turned, 1 - prediction, prediction),
    )  # fmt: skip
    np.testing.assert_allclose(one.strength, other.strength, atol=1e-9)
    np.testing.assert_allclose(one.win_rate_interval, other.win_rate_interval, atol=1e-9)
    np.testing.assert_array_equal(one.rank_interval, other.rank_interval)


def test_a_good_panel_narrows_and_one_that_never_varies_is_left_alone():
    first, second, prompt, y = drawn(prompts=400)
    said = np.clip(y + 0.2 * np.random.default_rng(1).standard_normal(y.size), 0, 1)
    people = np.where(prompt < 60, y, np.nan)
    alone = ranked(first, second, prompt, people)
    with_panel = ranked(first, second, prompt, people, said)
    assert with_panel.power.lam > 0.7
    assert (
        np.ptp(with_panel.strength_interval, axis=0).mean()
        < 0.7 * np.ptp(alone.strength_interval, axis=0).mean()
    )
    same = ranked(first, second, prompt, people, np.full(y.size, 0.5))
    assert same.power.lam == 0
    np.testing.assert_allclose(same.strength, alone.strength)


def test_win_rates_count_ties_half_and_agree_with_their_pairs():
    found = ranked(*drawn())
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(found.pair_rate[off], (1 - found.pair_rate.T)[off])
    np.testing.assert_allclose(found.win_rate, np.nanmean(found.pair_rate, axis=1))
    expected = outcomes(found.strength[:, None] - found.strength[None, :], found.log_ties).win_rate
    np.testing.assert_allclose(found.pair_rate[off], expected[off])
    low, high = found.pair_interval
    assert ((low < found.pair_rate) & (found.pair_rate < high))[off].all()
    assert (found.rank_interval[0] <= found.rank).all()
    assert (found.rank <= found.rank_interval[1]).all()


def test_anchors_drawn_by_unequal_chances_are_weighted():
    """Prompts on which the first system of a pair wins are graded three times as often."""
    rng = np.random.default_rng(5)
    first, second, prompt, y = drawn(seed=6, prompts=3000, per_prompt=1)
    low_first = np.where(first < second, y, 1 - y)
    chance = np.where(low_first == 1, 0.6, 0.2)
    people = np.where(rng.random(y.size) < chance, y, np.nan)
    naive = ranked(first, second, prompt, people)
    weighted = ranked(first, second, prompt, people, inclusion=chance)
    everyone = ranked(first, second, prompt, y)
    assert np.abs(weighted.strength - everyone.strength).max() < 0.25
    assert np.abs(naive.strength - everyone.strength).max() > 0.4


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda y, prompt, first: np.where(prompt < 12, y, np.nan), "prompts with human grades"),
        (lambda y, prompt, first: np.where((first == 4) & (prompt > 3), np.nan, y), "of a system"),
        (lambda y, prompt, first: np.full(y.size, 0.5), "did not call a tie"),
    ],
)
def test_what_strengths_lack_is_named(change, what):
    first, second, prompt, y = drawn()
    swap = second == 4
    first, second, y = np.where(swap, second, first), np.where(swap, first, second), np.where(swap, 1 - y, y)
    with pytest.raises(InsufficientData, match=what):
        ranked(first, second, prompt, change(y, prompt, first))


def test_two_parts_that_one_prompt_connects_have_no_honest_error():
    first, second, prompt, y = drawn(prompts=120, systems=4)
    apart = (first < 2) != (second < 2)
    y[apart] = np.nan
    y[np.flatnonzero(apart)[:2]] = 0.5
    prompt[np.flatnonzero(apart)[:2]] = 500
    with pytest.raises(InsufficientData, match="connect two parts"):
        ranked(first, second, prompt, y)


def test_more_systems_are_ranked_apart_the_more_people_grade():
    few, many = ranked(*drawn(prompts=30)), ranked(*drawn(prompts=1500))
    width = [np.subtract(found.rank_interval[1], found.rank_interval[0]).sum() for found in (few, many)]
    assert width[1] < width[0]
    np.testing.assert_array_equal(many.rank, [5, 4, 3, 2, 1])
