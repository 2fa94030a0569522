"""Strengths by judges against lme4, and the ways in which an earlier ranking by judges went wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.stats.davidson import outcomes
from app.stats.errors import InsufficientData
from app.stats.judge_strengths import Cells, mode_at, rank_by_judges, told_from_position

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
TRUE = np.linspace(-0.8, 0.8, 5)


def cells_of(judge, first, second, prompt, outcome, ordered=True):
    return Cells(
        judge=judge, first=first, second=second, ordered=np.full(len(judge), ordered), prompt=prompt,
        outcome=outcome, systems=int(max(first.max(), second.max())) + 1, judges=int(judge.max()) + 1,
    )  # fmt: skip


@pytest.mark.parametrize("response", ["binary", "ties"])
def test_given_the_spread_all_coefficients_are_those_of_lme4(response):
    data = {name: np.array(values) for name, values in GOLDEN["data"].items()}
    cells = cells_of(
        data["judge"], data["first"], data["second"], data["prompt"], data[response].astype(float)
    )
    mode = mode_at(cells, GOLDEN["tau"])
    s, j = GOLDEN["systems"], GOLDEN["judges"]
    theta = cells.basis @ mode.coefficients[: s - 1]
    theirs = np.array(GOLDEN[response]["beta"])
    # lme4 stops its own steps at a relative change of the deviance of 1e-13
    np.testing.assert_allclose(theta[1:] - theta[0], theirs[: s - 1], atol=2e-6)
    np.testing.assert_allclose(mode.coefficients[s - 1 : s - 1 + j], theirs[s - 1 : s - 1 + j], atol=2e-6)
    tastes = mode.coefficients[cells.fixed : cells.eta.shape[1]].reshape(j, s - 1) @ cells.basis.T
    np.testing.assert_allclose(tastes.ravel(), GOLDEN[response]["tastes"], atol=2e-6)
    if response == "ties":
        np.testing.assert_allclose(mode.coefficients[cells.eta.shape[1] :], theirs[s - 1 + j :], atol=2e-6)


def drawn(seed=0, prompts=150, judges=5, spread=0.4, always_first=False, never_ties=True, position=0.5):
    """Three pairs to a prompt, each before three judges; judge 0 never ties if ``never_ties``."""
    rng = np.random.default_rng(seed)
    taste = spread * rng.standard_normal((judges, TRUE.size))
    place, gamma = position + 0.2 * rng.standard_normal(judges), rng.normal(-0.2, 0.3, judges)
    gamma[0] = -np.inf if never_ties else gamma[0]
    rows = []
    for prompt in range(prompts):
        quality = TRUE + 0.5 * rng.standard_normal(TRUE.size)
        for _ in range(3):
            pair = rng.choice(TRUE.size, 2, replace=False)
            i, k = sorted(pair) if always_first else pair
            for j in rng.choice(judges, 3, replace=False):
                gap = quality[i] - quality[k] + taste[j, i] - taste[j, k] + place[j]
                rows.append((j, i, k, prompt, gap, gamma[j]))
    table = np.array(rows)
    chance, u = outcomes(table[:, 4], table[:, 5]), rng.random(len(rows))
    y = np.where(u < chance.win, 1.0, np.where(u < chance.win + chance.tie, 0.5, 0.0))
    judge, first, second, prompt = table[:, :4].astype(int).T
    return judge, first, second, prompt, y


def test_position_is_found_beside_strengths_and_a_judge_that_never_ties_pools_nobody():
    found = rank_by_judges(cells_of(*drawn(prompts=600)))
    assert found.log_ties[0] == -np.inf
    assert np.isfinite(found.log_ties[1:]).all()
    assert np.ptp(found.log_ties[1:]) > 0.1
    assert found.position.mean() == pytest.approx(0.5, abs=0.2)
    assert 0.2 < found.spread < 0.6
    low, high = found.strength_interval
    assert ((low < TRUE) & (high > TRUE)).sum() >= 4
    assert (found.rank_interval[0] <= found.rank).all()


def test_position_is_still_found_where_one_system_always_comes_first_of_its_pairs():
    """The place of a system goes by its name, and position does not vanish for it."""
    cells = cells_of(*drawn(prompts=600, always_first=True))
    assert 0.1 < told_from_position(cells) < 0.5  # the price: strengths are told only by chains of pairs
    found = rank_by_judges(cells)
    assert found.position.mean() == pytest.approx(0.5, abs=0.25)


def test_position_that_goes_along_with_a_system_cannot_be_told_from_it():
    judge, first, second, prompt, y = drawn()
    swapped = second == 0
    first, second = np.where(swapped, second, first), np.where(swapped, first, second)
    only = first == 0  # system 0, always first, against one other at a time: four pairs, one place
    pair = only & (second == 1)
    confounded = cells_of(judge[pair], first[pair], second[pair], prompt[pair], y[pair])
    assert told_from_position(confounded) == pytest.approx(0.0, abs=1e-6)
    assert told_from_position(cells_of(*drawn())) > 0.9
    unknown = cells_of(judge[pair], first[pair], second[pair], prompt[pair], y[pair], ordered=False)
    assert told_from_position(unknown) == pytest.approx(1.0)


def test_win_rates_count_ties_half_and_average_over_judges_orders_and_tastes():
    found = rank_by_judges(cells_of(*drawn()))
    rng = np.random.default_rng(1)
    total = np.zeros(TRUE.size)
    draws = 40_000
    gap = found.strength[:, None] - found.strength[None, :]
    for j in range(5):
        for order in (1, -1):
            for i in range(TRUE.size):
                others = np.delete(np.arange(TRUE.size), i)
                felt = gap[i, others][:, None] + found.spread * np.sqrt(2) * rng.standard_normal(
                    (4, draws // 10)
                )
                chance = outcomes((felt + order * found.position[j]).ravel(), float(found.log_ties[j]))
                total[i] += float((chance.win + chance.tie / 2).mean()) / 10
    np.testing.assert_allclose(found.win_rate, total, atol=0.01)  # of 16,000 draws each


def test_verdicts_on_a_prompt_are_no_independent_ones():
    """The same verdicts said five times over tell no more."""
    judge, first, second, prompt, y = drawn(spread=0.0)
    one = rank_by_judges(cells_of(judge, first, second, prompt, y))
    again = rank_by_judges(cells_of(*(np.tile(column, 5) for column in (judge, first, second, prompt, y))))
    widths = [np.ptp(found.strength_interval, axis=0).mean() for found in (one, again)]
    assert widths[1] > 0.9 * widths[0]


def test_judges_who_do_not_differ_have_no_spread_and_those_who_do_widen_the_intervals():
    same, apart = (rank_by_judges(cells_of(*drawn(spread=one))) for one in (0.0, 1.0))
    assert same.spread < 0.15
    assert apart.spread > 0.5
    assert (
        np.ptp(apart.strength_interval, axis=0).mean() > 1.5 * np.ptp(same.strength_interval, axis=0).mean()
    )


def test_what_is_lacking_is_named():
    judge, first, second, prompt, y = drawn()
    with pytest.raises(InsufficientData, match="judges"):
        rank_by_judges(cells_of(judge * 0, first, second, prompt, y))
    few = prompt < 10
    with pytest.raises(InsufficientData, match="prompts"):
        rank_by_judges(cells_of(judge[few], first[few], second[few], prompt[few], y[few]))
