"""Contrasts, degrees of freedom and intervals of variances."""

import numpy as np
import pytest
from scipy import stats

from app.stats.errors import NotIdentified
from app.stats.lmm import RandomTerm, fit_lmm
from app.stats.lmm_inference import contrast, sd_intervals
from tests.stats.lmm.worlds import judged


def test_without_random_effects_the_contrast_is_the_classical_t_interval():
    world = judged(51)
    fit = fit_lmm(y=world.y, X=world.X)
    n = len(world.y)
    for method in ("satterthwaite", "kenward-roger"):
        found = contrast(fit, L=[0, 1], method=method)
        assert found.df[0] == pytest.approx(n - 2, rel=1e-6)
        half = stats.t.ppf(0.975, n - 2) * fit.standard_errors[1]
        assert found.high[0] - found.low[0] == pytest.approx(2 * half, rel=1e-6)


def test_a_balanced_one_way_mean_has_groups_minus_one_degrees_of_freedom():
    rng = np.random.default_rng(52)
    code = np.repeat(np.arange(9), 6)
    y = rng.normal(size=9)[code] + rng.normal(size=54)
    fit = fit_lmm(y=y, X=np.ones((54, 1)), groups=[RandomTerm(name="g", codes=code)])
    for method in ("satterthwaite", "kenward-roger"):
        assert contrast(fit, L=[1.0], method=method).df[0] == pytest.approx(8, rel=1e-4)


def test_a_difference_within_items_of_a_balanced_layout_is_the_paired_t_test():
    rng = np.random.default_rng(53)
    item = np.repeat(np.arange(20), 2)
    second = np.tile([0.0, 1.0], 20)
    y = rng.normal(size=20)[item] + 0.5 * second + 0.6 * rng.normal(size=40)
    fit = fit_lmm(y=y, X=np.column_stack([np.ones(40), second]), groups=[RandomTerm(name="item", codes=item)])
    found = contrast(fit, L=[0, 1])
    paired = stats.ttest_rel(y[1::2], y[0::2])
    assert found.p[0] == pytest.approx(paired.pvalue, rel=1e-5)
    assert found.df[0] == pytest.approx(19, rel=1e-4)


def test_many_contrasts_are_answered_at_once_and_alone_alike():
    world = judged(54)
    fit = fit_lmm(y=world.y, X=world.X, groups=world.terms("slopes"))
    both = contrast(fit, L=[[1, 2], [0, 1]], level=0.9)
    alone = contrast(fit, L=[0, 1], level=0.9)
    assert both.df[1] == pytest.approx(alone.df[0], rel=1e-9)
    assert both.low[1] == pytest.approx(alone.low[0], rel=1e-9)
    assert both.estimate[0] == pytest.approx(fit.beta[0] + 2 * fit.beta[1], rel=1e-12)


def test_a_contrast_that_the_data_cannot_estimate_is_refused_by_column():
    world = judged(55)
    n = len(world.y)
    first = (np.arange(n) % 2).astype(float)
    X = np.column_stack([np.ones(n), first, 1 - first])
    fit = fit_lmm(y=world.y, X=X, groups=world.terms("item"), names=["one", "a", "b"])
    assert fit.dropped == ("b",)
    with pytest.raises(NotIdentified, match="aliased"):
        contrast(fit, L=[0, 1, 0])
    # The difference of the two is estimable whichever column was dropped.
    difference = contrast(fit, L=[0, 1, -1])
    other = fit_lmm(y=world.y, X=X[:, [1, 2]], groups=world.terms("item"))
    assert difference.estimate[0] == pytest.approx(other.beta[0] - other.beta[1], rel=1e-7)


def test_kenward_roger_needs_reml_and_the_arrowhead():
    world = judged(56)
    ml = fit_lmm(y=world.y, X=world.X, groups=world.terms("crossed"), reml=False)
    with pytest.raises(ValueError, match="REML"):
        contrast(ml, L=[0, 1], method="kenward-roger")
    general = fit_lmm(y=world.y, X=world.X, groups=world.terms("crossed"), max_border=0)
    with pytest.raises(ValueError, match="arrowhead"):
        contrast(general, L=[0, 1], method="kenward-roger")


def test_the_interval_of_a_standard_deviation_covers_it():
    inside = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        code = np.repeat(np.arange(40), 5)
        y = 0.5 * rng.normal(size=40)[code] + rng.normal(size=200)
        fit = fit_lmm(y=y, X=np.ones((200, 1)), groups=[RandomTerm(name="g", codes=code)])
        group, residual = sd_intervals(fit)
        inside.append([group.low <= 0.5 <= group.high, residual.low <= 1.0 <= residual.high])
    # Binomial(120, .95): below .88 has probability 1e-3.
    assert (np.mean(inside, axis=0) > 0.88).all()


def test_a_standard_deviation_of_zero_has_an_upper_end():
    rng = np.random.default_rng(57)
    code = np.repeat(np.arange(10), 6)
    noise = rng.normal(size=60)
    y = noise - np.bincount(code, noise)[code] / 6
    fit = fit_lmm(y=y, X=np.ones((60, 1)), groups=[RandomTerm(name="g", codes=code)])
    group = sd_intervals(fit)[0]
    assert group.sd == 0.0
    assert group.low == 0.0
    assert 0.05 < group.high < 1.0
    assert group.method == "profile"


def test_a_variance_that_is_not_identified_has_an_interval_from_zero_to_infinity():
    world = judged(58)
    twin = RandomTerm(name="twin", codes=world.system)
    fit = fit_lmm(y=world.y, X=world.X, groups=[*world.terms("crossed"), twin])
    found = {i.term: i for i in sd_intervals(fit)}
    assert np.isinf(found["twin"].high) or np.isinf(found["system"].high)
    assert np.isfinite(found["item"].high)
