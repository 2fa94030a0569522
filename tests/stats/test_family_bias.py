import numpy as np
import pytest
from scipy import stats

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.family_bias import own_family_effect, own_model_effect
from app.stats.judge_effects import SystemEffects, system_effects
from app.stats.quality_held_fixed import hold_quality_fixed
from tests.stats.test_judge_effects import world

THREE_OF_EIGHT = np.arange(8) < 3


def effects_of(effect, covariance):
    return SystemEffects(np.arange(len(effect)), effect, covariance, np.full(len(effect), 30))


def test_equally_noisy_systems_give_students_interval_of_two_samples_of_systems():
    effect = np.random.default_rng(1).normal(0, 1, 8)
    found = own_family_effect(effects_of(effect, 0.01 * np.eye(8)), own=THREE_OF_EIGHT, prompts=60)
    student = stats.ttest_ind(effect[:3], effect[3:])
    assert found.estimate == pytest.approx(effect[:3].mean() - effect[3:].mean())
    assert found.p_value(0.0) == pytest.approx(student.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(student.confidence_interval(0.95)))
    assert found.freedom == pytest.approx(6)


def test_one_system_of_the_model_gives_the_interval_of_one_more_draw():
    effect = np.random.default_rng(2).normal(0, 1, 8)
    found = own_model_effect(effects_of(effect, 0.01 * np.eye(8)), own=np.arange(8) == 0, prompts=60)
    half = stats.t.ppf(0.975, 6) * effect[1:].std(ddof=1) * np.sqrt(1 + 1 / 7)
    assert (found.low, found.high) == pytest.approx((found.estimate - half, found.estimate + half))


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0])
def test_intervals_hold_whatever_systems_and_prompts_add_to_the_noise(tau):
    """Unequal noise, and an error that the family's systems share, with V itself from 60 prompts."""
    rng = np.random.default_rng(3)
    shared = THREE_OF_EIGHT * 0.4 + rng.normal(0, 0.1, 8)
    true = np.diag(rng.uniform(0.02, 0.3, 8)) + np.outer(shared, shared)
    root = np.linalg.cholesky(true)
    missed, told, errors = [], [], []
    for _ in range(1500):
        effect = 0.5 * THREE_OF_EIGHT + tau * rng.standard_normal(8) + root @ rng.standard_normal(8)
        seen = root @ rng.standard_normal((8, 59))
        found = own_family_effect(effects_of(effect, seen @ seen.T / 59), own=THREE_OF_EIGHT, prompts=60)
        missed.append(not found.low <= 0.5 <= found.high)
        told.append(found.std_error**2)
        errors.append(found.estimate - 0.5)
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(1500)
    assert np.mean(missed) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 1500)
    # the variance of 1500 errors is known to 3.7%; the wider of two intervals makes the mean larger
    assert 0.87 * np.var(errors) < np.mean(told) < 1.35 * np.var(errors)
    if tau == 1.0:  # systems' spread is then most of it, and the formula of the variance stands alone
        assert np.mean(told) == pytest.approx(np.var(errors), rel=0.13)
        assert np.mean(missed) > 0.05 - 4 * np.sqrt(0.05 * 0.95 / 1500)


def test_systems_that_are_alike_by_luck_do_not_make_the_interval_narrower_than_prompts_leave_it():
    alike = effects_of(np.where(THREE_OF_EIGHT, 0.1, 0.0), 0.04 * np.eye(8))
    found = own_family_effect(alike, own=THREE_OF_EIGHT, prompts=60)
    assert found.std_error == pytest.approx(0.2 * np.sqrt(1 / 3 + 1 / 5))
    assert found.freedom == 59


def test_many_systems_on_few_prompts_do_not_make_a_better_family_look_favoured():
    """Weights fitted to a covariance of 20 systems from 20 prompts favour it in about 8% of these worlds."""
    favoured = []
    for seed in range(200):
        anchors, family = world(np.random.default_rng([4, seed]), prompts=20, systems=20, gap=0.5)
        found = own_family_effect(system_effects(hold_quality_fixed(anchors)), own=family, prompts=20)
        favoured.append(found.low > 0)
    assert np.mean(favoured) < 0.025 + 3 * np.sqrt(0.025 * 0.975 / 200)


def test_a_single_system_on_a_side_is_no_family():
    effects = effects_of(np.r_[3.0, np.zeros(7)], 0.01 * np.eye(8))
    first = np.arange(8) == 0
    with pytest.raises(NotIdentified, match="only one system with anchors is of the judge's family"):
        own_family_effect(effects, own=first, prompts=60)
    with pytest.raises(NotIdentified, match="only one system with anchors is outside the judge's family"):
        own_family_effect(effects, own=~first, prompts=60)
    assert own_model_effect(effects, own=first, prompts=60).estimate == pytest.approx(3.0)


def test_a_family_needs_systems_on_both_sides_and_four_of_them():
    effects = effects_of(np.zeros(4), 0.01 * np.eye(4))
    for own in (np.zeros(4, bool), np.ones(4, bool)):
        with pytest.raises(NotIdentified):
            own_family_effect(effects, own=own, prompts=30)
    few = effects_of(np.zeros(3), 0.01 * np.eye(3))
    with pytest.raises(InsufficientData):
        own_family_effect(few, own=np.array([True, False, False]), prompts=30)
