import numpy as np
import pytest

from app.stats.eblup import shrink


def call(y, v, x=None, **more):
    y = np.asarray(y, float)
    x = np.full(y.size, 0.5) if x is None else np.asarray(x, float)
    more = {"covariates": np.zeros((y.size, 0)), "slope_sd": np.zeros(0)} | more
    return shrink(estimate=y, variance=np.full(y.size, float(v)), prediction=x, **more)


def test_precise_groups_keep_their_own_estimates():
    y = np.array([0.2, 0.4, 0.5, 0.7])
    assert call(y, 1e-8).estimate == pytest.approx(y, abs=1e-4)


def test_noisy_groups_move_to_their_common_mean():
    rng = np.random.default_rng(1)
    y = 0.5 + 0.1 * rng.normal(size=12)
    moved = call(y, 0.1**2).estimate
    assert np.abs(moved - y.mean()).max() < 0.6 * np.abs(y - y.mean()).max()
    assert np.corrcoef(moved, y)[0, 1] > 0.999


def test_the_posterior_agrees_with_brute_force_integration():
    y, v, scale = np.array([0.35, 0.5, 0.62, 0.41]), 0.03**2, 0.03
    tau = np.linspace(0, 3 * np.sqrt((y - 0.5).var() + v), 41)
    posterior = []
    for t in tau:
        c = np.eye(4) * (v + t**2)
        inverse = np.linalg.inv(c)
        one = np.ones(4)
        mu = one @ inverse @ y / (one @ inverse @ one)
        quad = (y - mu) @ inverse @ (y - mu)
        density = np.exp(-0.5 * (np.linalg.slogdet(c)[1] + np.log(one @ inverse @ one) + quad))
        posterior.append((density / (1 + (t / scale) ** 2), mu + t**2 / (t**2 + v) * (y - mu)))
    weight = np.array([w for w, _ in posterior])
    expected = (weight[:, None] * np.array([m for _, m in posterior])).sum(0) / weight.sum()
    assert call(y, v).estimate == pytest.approx(expected, abs=1e-7)


def test_the_prior_of_a_group_does_not_hang_on_its_own_estimate():
    y = np.array([0.3, 0.5, 0.6, 0.45, 0.52])
    moved = y.copy()
    moved[2] = 0.61
    assert call(moved, 0.001).prior_mean[2] == pytest.approx(call(y, 0.001).prior_mean[2], abs=1e-3)


def test_a_group_without_anchors_is_predicted_from_the_others():
    x = np.array([0.2, 0.4, 0.6, 0.8, 0.9])
    y = np.array([0.25, 0.45, 0.65, 0.85, np.nan])
    v = np.array([1e-4] * 4 + [np.nan])
    result = shrink(estimate=y, variance=v, prediction=x, covariates=np.zeros((5, 0)), slope_sd=np.zeros(0))
    assert result.estimate[4] == pytest.approx(0.95, abs=0.01)
    assert result.prior_variance[4] > 0


def test_a_compressed_panel_is_stretched_between_groups():
    truth = np.linspace(0.2, 0.8, 12)
    x = 0.5 + 0.5 * (truth - 0.5)  # half of the differences lost
    result = shrink(
        estimate=truth,
        variance=np.full(12, 1e-4),
        prediction=x,
        covariates=x[:, None],
        slope_sd=np.array([0.5]),
    )
    assert result.slopes[0] == pytest.approx(1.0, abs=0.25)  # 1 + b = 2, drawn a little to 1 by its prior
    assert np.polyfit(truth, result.prior_mean, 1)[0] == pytest.approx(1.0, abs=0.15)


def test_errors_shared_by_all_groups_do_not_pass_for_differences():
    rng = np.random.default_rng(4)
    y = 0.5 + 0.01 * rng.normal(size=8) + 0.1
    alone = call(y, 0.1**2)
    shared = call(y, 0.1**2, shared_covariance=0.99 * 0.1**2)
    assert np.ptp(shared.estimate) > np.ptp(alone.estimate)


def test_pairs_of_systems_whose_wins_are_others_losses_differ_by_more_chance():
    y, v = np.array([0.42, 0.5, 0.58, 0.47, 0.53]), 0.06**2
    assert call(y, v, shared_covariance=-v / 4).tau < call(y, v).tau


def test_a_panel_that_errs_about_systems_does_not_pull_them_together():
    rng = np.random.default_rng(5)
    slopes, of_line = [], []
    for _ in range(60):
        truth = np.linspace(0.3, 0.7, 12)
        x = truth + 0.06 * rng.normal(size=12)
        y = truth + 0.05 * rng.normal(size=12)
        result = call(y, 0.05**2, x, covariates=x[:, None], slope_sd=np.array([0.5]), tau_scale=0.06)
        slopes.append(np.polyfit(truth, result.estimate - truth, 1)[0])
        of_line.append(np.polyfit(truth, result.prior_mean - truth, 1)[0])
    # the regression line loses 1 - R = 0.06^2 / (0.06^2 + var truth) = 0.18 of the differences
    assert np.mean(of_line) == pytest.approx(-0.18, abs=0.05)
    assert np.mean(slopes) == pytest.approx(0.0, abs=0.05)


def test_a_panel_that_tells_nothing_of_systems_is_not_stretched_into_differences():
    rng = np.random.default_rng(6)
    y = 0.5 + 0.05 * rng.normal(size=10)
    x = 0.5 + 0.1 * rng.normal(size=10)
    x = 0.5 + 0.01 * (x - 0.5)
    result = call(y, 0.05**2, x, covariates=x[:, None], slope_sd=np.array([0.5]))
    assert np.ptp(result.estimate) < np.ptp(y)


@pytest.mark.parametrize(("level", "least", "most"), [(0.01, 0.0, 0.7), (0.3, 0.98, 1.0)])
def test_the_panels_level_is_believed_unless_people_grade_from_elsewhere(level, least, most):
    noise = 0.06 * np.random.default_rng(7).normal(size=8)
    x = np.linspace(0.3, 0.7, 8)
    y = x + level + noise - noise.mean()
    shift = (call(y, 0.06**2, x, level_sd=(0.02, 0.1, 0.5)).estimate - x).mean()
    assert least < shift / level < most
    assert (call(y, 0.06**2, x).estimate - x).mean() == pytest.approx(level, abs=1e-6)


def test_a_shift_that_all_groups_share_is_not_taken_for_their_level():
    x = np.linspace(0.3, 0.7, 8)
    y = x + 0.04
    v, c = 0.06**2, 0.05**2
    alone = call(y, v, x, level_sd=(0.05,), shared_covariance=0.0).estimate - x
    shared = call(y, v, x, level_sd=(0.05,), shared_covariance=c).estimate - x
    assert 0 < shared.mean() < 0.7 * alone.mean()


def test_the_prior_answers_to_the_other_groups_as_it_says():
    x = np.array([0.3, 0.4, 0.5, 0.6, 0.7])
    y = x + np.array([0.02, -0.01, 0.03, -0.02, 0.01])
    step = 1e-5
    for more in ({}, {"level_sd": (0.02,)}, {"level_sd": (0.05,), "shared_covariance": 2e-4}):
        at, moved = call(y, 1e-3, x, **more), call(y + step, 1e-3, x, **more)
        slope = (moved.prior_mean - at.prior_mean) / step
        assert at.prior_response == pytest.approx(slope, abs=0.05)
