import numpy as np
import pytest
from scipy import stats

from app.stats.difference import (
    Difference,
    Finding,
    anchor_overlap,
    decide,
    own_difference,
    shared_prompt_correlation,
    traffic_covariance,
)
from app.stats.rectifier import rectified_means


def two_systems(seed=0, prompts=60, anchors=25, shared=0.8):
    rng = np.random.default_rng(seed)
    group, prompt = np.repeat([0, 1], prompts), np.tile(np.arange(prompts), 2)
    of_prompt = rng.normal(size=prompts)[prompt]
    y = np.sqrt(shared) * of_prompt + np.sqrt(1 - shared) * rng.normal(size=group.size) + 0.2 * group
    chosen = np.isin(prompt, rng.permutation(prompts)[:anchors])
    return group, prompt, rng.normal(size=group.size), np.where(chosen, y, np.nan)


def test_without_a_panel_the_difference_on_shared_prompts_is_the_paired_t():
    group, prompt, f, y = two_systems()
    means = rectified_means(group=group, prompt=prompt, prediction=0 * f, human=y, groups=2)
    difference = own_difference(means, 0, 1)
    d = y[60:] - y[:60]
    d = d[~np.isnan(d)]
    assert difference.estimate == pytest.approx(d.mean())
    assert difference.variance == pytest.approx(d.var(ddof=1) / d.size)
    assert difference.degrees_of_freedom == d.size - 1
    assert difference.p_different() == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
    assert difference.interval(0.9) == pytest.approx(stats.ttest_1samp(d, 0).confidence_interval(0.9))


def test_the_residual_correlation_on_shared_prompts_is_found():
    found = []
    for seed in range(40):
        group, prompt, f, y = two_systems(seed)
        means = rectified_means(group=group, prompt=prompt, prediction=f, human=y, groups=2, lam=0.0)
        found.append(shared_prompt_correlation(means))
    # residuals from a mean of 25 keep 24/25 of it; 40 correlations of 25 pairs: standard error about .015
    assert np.mean(found) == pytest.approx(0.8 * 24 / 25, abs=0.05)


def test_groups_that_share_no_prompt_are_not_correlated():
    group, prompt, f, y = two_systems()
    means = rectified_means(group=group, prompt=prompt + 100 * group, prediction=f, human=y, groups=2)
    assert shared_prompt_correlation(means) == 0
    assert anchor_overlap(means, 2)[0, 1] == 0


def test_the_overlap_of_equal_anchors_is_one_over_their_number():
    group, prompt, f, y = two_systems()
    means = rectified_means(group=group, prompt=prompt, prediction=f, human=y, groups=2)
    assert anchor_overlap(means, 2) == pytest.approx(np.full((2, 2), 1 / 25))


def test_traffic_on_the_same_prompts_is_paired_too():
    group, prompt, f, y = two_systems()
    f[60:] = f[:60]
    means = rectified_means(group=group, prompt=prompt, prediction=f, human=y, groups=2, lam=1.0)
    own = np.bincount(means.traffic_group, means.traffic_influence**2)
    assert traffic_covariance(means, 0, 1) == pytest.approx(own[0])


@pytest.mark.parametrize(
    ("estimate", "se", "margin", "expected"),
    [
        (0.30, 0.05, 0.0, Finding.BETTER),
        (-0.30, 0.05, 0.0, Finding.WORSE),
        (0.01, 0.05, 0.0, Finding.INCONCLUSIVE),
        (0.01, 0.05, 0.2, Finding.EQUIVALENT),
        (0.15, 0.05, 0.2, Finding.BETTER),
        (0.11, 0.02, 0.2, Finding.EQUIVALENT),
        (0.05, 0.10, 0.2, Finding.INCONCLUSIVE),
    ],
)
def test_the_verdict_is_what_the_interval_says(estimate, se, margin, expected):
    difference = Difference(estimate, se**2, 200.0)
    verdict = decide(
        p_different=difference.p_different(),
        p_equivalent=difference.p_equivalent(margin),
        estimate=estimate,
        level=0.95,
    )
    low, high = difference.interval(0.95)
    assert verdict is expected
    assert (verdict is Finding.EQUIVALENT) == (-margin < low and high < margin)
    assert (verdict is Finding.INCONCLUSIVE) <= (low <= 0 <= high)


def test_two_groups_that_are_identical_are_never_better():
    difference = Difference(0.0, 0.0, 10.0)
    assert difference.p_different() == 1.0
