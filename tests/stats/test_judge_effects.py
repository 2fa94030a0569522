import numpy as np
import pytest

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.family_bias import own_family_effect
from app.stats.judge_effects import (
    discrimination,
    severity,
    system_effects,
    taste,
)
from app.stats.quality_held_fixed import JudgedAnchors, hold_quality_fixed


def world(
    rng, *, prompts=40, systems=8, grades=2, slope=0.6, length=0.05, own=0.0, gap=0.25, noise=0.25, severe=0.1
):
    """Anchors of one judge with planted effects; half of the systems are its family's, better by `gap`."""
    family = np.arange(systems) < systems // 2
    prompt = np.repeat(np.arange(prompts), systems)
    system = np.tile(np.arange(systems), prompts)
    quality_of_system = rng.normal(0, 0.1, systems) + gap * family
    words = rng.normal(8, 1, prompts * systems) + 2 * quality_of_system[system]
    theta = 0.5 + quality_of_system[system] + rng.normal(0, 0.1, prompts)[prompt]
    theta = theta + 0.05 * (words - 8) + rng.normal(0, 0.15, prompts * systems)
    treats = rng.normal(0, 0.05, systems) + own * family
    judge = 0.5 - severe + slope * (theta - 0.5) + length * (words - 8) + treats[system]
    judge = judge + rng.normal(0, 0.1, prompts)[prompt] + rng.normal(0, 0.2, prompts * systems)
    given = theta[:, None] + rng.normal(0, noise, (prompts * systems, grades))
    mean = given.mean(axis=1)
    anchors = JudgedAnchors(
        judge=judge,
        human=mean,
        grades=np.full(len(mean), float(grades)),
        within=((given - mean[:, None]) ** 2).sum(axis=1),
        prompt=prompt,
        system=system,
        length=words,
    )
    return anchors, family


def length_effect(anchors):
    return taste(hold_quality_fixed(anchors), anchors, "length")


def share_covered(estimates, truth):
    return np.mean([e.low <= truth <= e.high for e in estimates])


def test_planted_slope_and_length_are_recovered_with_intervals_that_cover_them():
    rng = np.random.default_rng(11)
    worlds = [world(rng)[0] for _ in range(150)]
    slopes, lengths = (
        [discrimination(hold_quality_fixed(w)) for w in worlds],
        [length_effect(w) for w in worlds],
    )
    # Monte Carlo error of a 95% coverage at 150 worlds: 1.8 points; two and a half of those
    assert share_covered(slopes, 0.6) >= 0.905
    assert share_covered(lengths, 0.05) >= 0.905
    assert np.median([e.estimate for e in slopes]) == pytest.approx(0.6, abs=0.06)
    assert np.median([e.estimate for e in lengths]) == pytest.approx(0.05, abs=0.005)


def test_noisy_people_and_truly_better_systems_do_not_look_like_self_preference():
    rng = np.random.default_rng(12)
    found = []
    for _ in range(150):
        anchors, family = world(rng, own=0.0)
        found.append(own_family_effect(system_effects(hold_quality_fixed(anchors)), own=family, prompts=40))
    assert np.mean([not (e.low <= 0 <= e.high) for e in found]) <= 0.08  # nominal 5%, Monte Carlo error 1.8

    ancova = []
    for _ in range(60):  # the usual analysis of the same worlds: regress the judge on one person's mean
        anchors, family = world(rng, own=0.0)
        columns = np.column_stack([np.ones(320), anchors.human, family[anchors.system], anchors.length])
        ancova.append(np.linalg.lstsq(columns, anchors.judge, rcond=None)[0][2])
    assert np.mean(ancova) > 0.04  # it finds a bias that is not there


def test_planted_self_preference_is_found():
    rng = np.random.default_rng(13)
    found = []
    for _ in range(60):
        anchors, family = world(rng, own=0.2)
        found.append(own_family_effect(system_effects(hold_quality_fixed(anchors)), own=family, prompts=40))
    assert np.mean([e.estimate for e in found]) == pytest.approx(0.2, abs=0.03)
    assert np.mean([e.low > 0 for e in found]) > 0.6


def test_few_prompts_and_noisy_people_do_not_make_a_judge_look_sharper():
    found = []
    for seed in range(300):
        anchors, _ = world(np.random.default_rng([21, seed]), prompts=20)
        found.append(discrimination(hold_quality_fixed(anchors)).estimate)
    error = np.std(found) / np.sqrt(len(found))
    # with all of the noise subtracted the mean is 0.657, four standard errors above 0.6
    assert abs(np.mean(found) - 0.6) < 2 * error


def test_without_noise_the_correction_collapses_to_least_squares():
    rng = np.random.default_rng(14)
    anchors, _ = world(rng, noise=0.0)
    dummies = np.eye(8)[anchors.system]
    columns = np.column_stack([anchors.human, anchors.length, dummies])
    expected = np.linalg.lstsq(columns, anchors.judge, rcond=None)[0]
    assert discrimination(hold_quality_fixed(anchors)).estimate == pytest.approx(expected[0], abs=1e-9)
    assert length_effect(anchors).estimate == pytest.approx(expected[1], abs=1e-9)
    centred = expected[2:] + expected[1] * anchors.length.mean()
    np.testing.assert_allclose(system_effects(hold_quality_fixed(anchors)).effect, centred, atol=1e-9)


def test_severity_is_the_mean_difference_with_the_jackknife_of_prompt_means():
    rng = np.random.default_rng(15)
    anchors, _ = world(rng)
    effect = severity(anchors)
    by_prompt = (anchors.human - anchors.judge).reshape(40, 8).mean(axis=1)
    assert effect.estimate == pytest.approx(by_prompt.mean())
    assert effect.std_error == pytest.approx(by_prompt.std(ddof=1) / np.sqrt(40))
    assert effect.estimate > 0  # a severe judge


def test_effects_do_not_hang_on_the_order_of_rows_or_the_names_of_systems():
    rng = np.random.default_rng(16)
    anchors, _ = world(rng)
    shuffled = rng.permutation(len(anchors.judge))
    other = JudgedAnchors(
        judge=anchors.judge[shuffled],
        human=anchors.human[shuffled],
        grades=anchors.grades[shuffled],
        within=anchors.within[shuffled],
        prompt=anchors.prompt[shuffled] + 100,
        system=7 - anchors.system[shuffled],
        length=anchors.length[shuffled],
    )
    assert discrimination(hold_quality_fixed(other)).estimate == pytest.approx(
        discrimination(hold_quality_fixed(anchors)).estimate
    )
    assert discrimination(hold_quality_fixed(other)).std_error == pytest.approx(
        discrimination(hold_quality_fixed(anchors)).std_error
    )


def test_a_judge_shifted_by_a_constant_changes_in_severity_alone():
    rng = np.random.default_rng(17)
    anchors, _ = world(rng)
    shifted = JudgedAnchors(
        **{**{n: getattr(anchors, n) for n in anchors.__slots__}, "judge": anchors.judge + 0.3}
    )
    assert severity(shifted).estimate == pytest.approx(severity(anchors).estimate - 0.3)
    assert discrimination(hold_quality_fixed(shifted)).estimate == pytest.approx(
        discrimination(hold_quality_fixed(anchors)).estimate
    )
    assert length_effect(shifted).estimate == pytest.approx(length_effect(anchors).estimate)


def test_single_graded_anchors_cannot_tell_a_slope_but_can_tell_severity():
    anchors, _ = world(np.random.default_rng(18), grades=1)
    assert severity(anchors).n == 320
    with pytest.raises(NotIdentified, match="two human grades"):
        discrimination(hold_quality_fixed(anchors))
    with pytest.raises(NotIdentified):
        system_effects(hold_quality_fixed(anchors))


def test_grades_that_are_all_noise_identify_no_slope():
    rng = np.random.default_rng(19)
    anchors, _ = world(rng)
    given = rng.normal(0.5, 0.25, (320, 2))
    noise = JudgedAnchors(
        judge=anchors.judge,
        human=given.mean(axis=1),
        grades=anchors.grades,
        within=((given - given.mean(axis=1, keepdims=True)) ** 2).sum(axis=1),
        prompt=anchors.prompt,
        system=anchors.system,
        length=anchors.length,
    )
    with pytest.raises(NotIdentified):
        discrimination(hold_quality_fixed(noise))


def test_few_anchors_are_too_little_data():
    anchors, _ = world(np.random.default_rng(20), prompts=3)
    with pytest.raises(InsufficientData):
        severity(anchors)


def test_one_length_for_all_identifies_no_length_effect():
    anchors, _ = world(np.random.default_rng(21))
    same = JudgedAnchors(
        **{**{n: getattr(anchors, n) for n in anchors.__slots__}, "length": np.full(320, 7.0)}
    )
    with pytest.raises(NotIdentified):
        length_effect(same)


def test_pairs_are_antisymmetric():
    """Swapping the two answers of every pair, and the signs with them, changes nothing."""
    rng = np.random.default_rng(22)
    n = 400
    first, second = rng.integers(0, 5, n), rng.integers(0, 5, n)
    second = np.where(first == second, (second + 1) % 5, second)
    theta = rng.normal(0, 0.4, n) + 0.1 * (first - second)
    given = theta[:, None] + rng.normal(0, 0.3, (n, 2))
    longer = rng.normal(0, 1, n)
    judge = 0.7 * theta + 0.1 * longer + rng.normal(0, 0.2, n)
    one = JudgedAnchors(
        judge=judge,
        human=given.mean(axis=1),
        grades=np.full(n, 2.0),
        within=((given - given.mean(axis=1, keepdims=True)) ** 2).sum(axis=1),
        prompt=np.arange(n),
        system=first,
        length=longer,
        other_system=second,
    )
    two = JudgedAnchors(-judge, -one.human, one.grades, one.within, one.prompt, second, -longer, first)
    assert discrimination(hold_quality_fixed(one)).estimate == pytest.approx(
        discrimination(hold_quality_fixed(two)).estimate
    )
    assert discrimination(hold_quality_fixed(one)).low <= 0.7 <= discrimination(hold_quality_fixed(one)).high
    assert length_effect(one).estimate == pytest.approx(length_effect(two).estimate)
    assert length_effect(one).estimate == pytest.approx(0.1, abs=0.05)
