"""Which units to grade: chances that add up, floors that hold, draws that keep to them."""

import numpy as np
import pytest

from app.stats.label_choice import draw, draw_chances, shares_of_groups
from app.stats.panel_error import predicted_error


def world(seed: int = 1, n: int = 400, groups: int = 5):
    rng = np.random.default_rng(seed)
    group = rng.choice(groups, n, p=np.array([40, 30, 20, 8, 2]) / 100)
    error = rng.gamma(0.7, 1.0, n)
    return rng, group.astype(np.int64), error


def test_chances_add_up_and_no_grade_weighs_more_than_five_average_ones():
    _, group, error = world()
    share = np.array([1.0, 5.0, 2.0, 9.0, 20.0])
    chance = draw_chances(error=error, group=group, group_share=share, count=80)
    assert chance.sum() == pytest.approx(80)
    assert ((chance > 0) & (chance <= 1)).all()
    assert chance.min() >= 0.5 * 80 / 400 * 0.999
    for g in range(5):
        mine = chance[group == g]
        assert mine.mean() / mine.min() <= 5.0 + 1e-9


def test_within_a_group_a_unit_where_the_panel_errs_more_is_drawn_more_often():
    _, group, error = world()
    chance = draw_chances(error=error, group=group, group_share=np.ones(5), count=40)
    for g in range(3):
        mine, err = chance[group == g], error[group == g]
        assert np.corrcoef(np.sqrt(err), mine)[0, 1] > 0.9


def test_a_draw_keeps_every_chance_and_never_takes_a_unit_twice():
    rng, group, error = world(n=60)
    chance = draw_chances(error=error, group=group, group_share=np.ones(5), count=15)
    times = np.zeros(60)
    reps = 4000
    for _ in range(reps):
        order = np.lexsort((rng.random(60), group))
        drawn = draw(chance, order, rng)
        assert drawn.size == np.unique(drawn).size == 15
        times[drawn] += 1
    spread = np.sqrt(chance * (1 - chance) / reps)
    assert (np.abs(times / reps - chance) < 4.5 * spread + 1e-9).all()


def test_weighting_by_the_inverse_chance_gives_an_unbiased_mean():
    rng, group, error = world()
    value = 0.5 + 0.2 * np.sqrt(error) * rng.choice([-1, 1], 400) + 0.1 * (error > 1)
    chance = draw_chances(error=error, group=group, group_share=np.ones(5), count=60)
    means = []
    for _ in range(2000):
        drawn = draw(chance, np.lexsort((rng.random(400), group)), rng)
        means.append(np.sum(value[drawn] / chance[drawn]) / 400)
    assert np.mean(means) == pytest.approx(value.mean(), abs=4 * np.std(means) / np.sqrt(2000))


def test_groups_that_have_their_share_wait_until_the_others_have_caught_up():
    share = shares_of_groups(
        spread=np.ones(3), have=np.array([30.0, 10.0, 0.0]), size=np.full(3, 100.0), more=20
    )
    assert share == pytest.approx([0.0, 5.0, 15.0], abs=1e-6)
    everything = shares_of_groups(spread=np.ones(2), have=np.zeros(2), size=np.array([3.0, 4.0]), more=50)
    assert everything == pytest.approx([3.0, 4.0])


def test_the_error_is_learned_from_residuals_where_there_are_enough():
    rng = np.random.default_rng(5)
    disagreement = rng.gamma(1.0, 1.0, 1000)
    true = 0.02 + 0.05 * disagreement
    residual = np.where(np.arange(1000) < 300, np.sqrt(true) * rng.standard_normal(1000), np.nan)
    predicted = predicted_error(disagreement=disagreement, variance=np.full(1000, np.nan), residual=residual)
    assert np.corrcoef(predicted, true)[0, 1] > 0.99
    assert predicted.mean() == pytest.approx(true.mean(), rel=0.25)
    assert (predicted_error(disagreement=np.full(9, np.nan), variance=np.full(9, np.nan)) > 0).all()
