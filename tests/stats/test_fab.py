import numpy as np
import pytest
from scipy import stats

from app.stats.fab import fab_intervals


def ends(y, sigma, mean=0.5, variance=np.inf, df=np.inf, curve=0.0, **more):
    one = np.atleast_1d(np.asarray(y, float))
    return fab_intervals(
        estimate=one,
        flat_variance=np.full(one.size, sigma**2),
        curve=np.full(one.size, curve),
        degrees_of_freedom=np.full(one.size, df),
        prior_mean=np.full(one.size, mean),
        prior_variance=np.full(one.size, variance),
        **more,
    )


def test_without_a_prior_it_is_the_t_interval():
    low, high = ends(0.5, 0.05, df=12)
    half = stats.t.ppf(0.975, 12) * 0.05
    assert (low[0], high[0]) == pytest.approx((0.5 - half, 0.5 + half))


def test_with_binomial_variance_and_no_prior_it_is_wilsons_interval():
    n, passed = 20, 18
    low, high = ends(passed / n, 0.0, curve=1 / n)
    theirs = stats.binomtest(passed, n).proportion_ci(method="wilson")
    assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_saturated_group_gets_a_one_sided_interval_and_not_a_point():
    low, high = ends(1.0, 0.0, curve=1 / 20)
    theirs = stats.binomtest(20, 20).proportion_ci(method="wilson")
    assert high[0] == pytest.approx(1.0)
    assert low[0] == pytest.approx(theirs.low, abs=1e-9)


def test_a_right_prior_shortens_it_and_a_wrong_one_does_not_cost_coverage():
    sigma, tau = 0.05, 0.03
    z = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)  # every quantile of the error once: no chance left
    for theta in (0.5, 0.55, 0.65, 0.8):
        low, high = ends(theta + sigma * z, sigma, mean=0.5, variance=tau**2, bounds=(-10.0, 10.0))
        # the acceptance region has exactly 95%; the grid of 4000 errors resolves 1/4000 at each end
        assert np.mean((low <= theta) & (theta <= high)) == pytest.approx(0.95, abs=0.001)
    low, high = ends(np.array([0.5]), sigma, mean=0.5, variance=tau**2)
    assert high[0] - low[0] < 0.92 * 2 * 1.96 * sigma


def test_coverage_holds_where_the_prior_moves_with_the_estimate():
    sigma, kappa, theta = 0.05, 0.4, 0.6
    z = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    y = theta + sigma * z
    one = np.ones(z.size)
    low, high = fab_intervals(
        estimate=y,
        flat_variance=sigma**2 * one,
        curve=0 * one,
        degrees_of_freedom=np.inf * one,
        prior_mean=0.5 + kappa * (y - theta),
        prior_variance=0.03**2 * one,
        shared=kappa * one,
        bounds=(-10.0, 10.0),
    )
    assert np.mean((low <= theta) & (theta <= high)) == pytest.approx(0.95, abs=0.001)


def test_it_tends_to_the_plain_interval_as_the_prior_gets_vague():
    low, high = ends(0.3, 0.05, mean=0.6, variance=100.0)
    assert (low[0], high[0]) == pytest.approx((0.3 - 1.96 * 0.05, 0.3 + 1.96 * 0.05), abs=2e-3)


def test_every_level_contains_the_estimate_and_grows_with_the_level():
    y = np.linspace(0.02, 0.98, 25)
    widths = []
    for level in (0.5, 0.8, 0.95, 0.99):
        low, high = ends(y, 0.02, mean=0.4, variance=0.01, df=9, curve=0.02, level=level)
        assert np.all((low <= y) & (y <= high))
        widths.append(high - low)
    assert np.all(np.diff(widths, axis=0) > 0)
