"""Moments of judges who each saw only some units, against closed forms and a row-by-row EM."""

import numpy as np
import pytest

from app.stats.panel_moments import estimate_moments, group_patterns

SIGMA = np.array([[1.0, 0.5, 0.3], [0.5, 2.0, 0.6], [0.3, 0.6, 1.5]])
MU = np.array([1.0, -1.0, 0.5])


def cells(x: np.ndarray) -> dict[str, np.ndarray]:
    """Cells of a matrix with NaN for what was not scored."""
    unit, judge = np.nonzero(np.isfinite(x))
    return {"unit": unit, "judge": judge, "value": x[unit, judge]}


def sample(n: int, missing: float, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal(MU, SIGMA, n)
    x[rng.random(x.shape) < missing] = np.nan
    return x


def row_by_row_em(x: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """The textbook algorithm, one row at a time."""
    mean, sigma = np.nanmean(x, axis=0), np.diag(np.nanvar(x, axis=0))
    rows = x[np.isfinite(x).any(axis=1)]
    for _ in range(iterations):
        filled, spare = np.empty_like(rows), np.zeros_like(sigma)
        for i, row in enumerate(rows):
            o = np.isfinite(row)
            k = sigma[:, o] @ np.linalg.inv(sigma[np.ix_(o, o)])
            filled[i] = mean + k @ (row[o] - mean[o])
            spare += sigma - k @ sigma[o, :]
        mean = filled.mean(axis=0)
        sigma = ((filled - mean).T @ (filled - mean) + spare) / len(rows)
    return mean, sigma


def test_complete_data_give_the_sample_moments() -> None:
    x = sample(200, 0.0)
    found = estimate_moments(group_patterns(**cells(x), judges=3), prior_units=0.0)
    np.testing.assert_allclose(found.mean, x.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(x.T, ddof=0), atol=1e-12)
    assert found.converged


def test_missing_scores_give_what_a_row_by_row_em_gives() -> None:
    x = sample(150, 0.4)
    found = estimate_moments(
        group_patterns(**cells(x), judges=3), prior_units=0.0, iterations=3000, tolerance=1e-12
    )
    mean, sigma = row_by_row_em(x, 2000)
    np.testing.assert_allclose(found.mean, mean, atol=1e-6)  # both stop a little before the optimum
    np.testing.assert_allclose(found.covariance, sigma, atol=1e-6)


def test_a_judge_who_missed_units_is_regressed_on_the_one_who_saw_all() -> None:
    """Monotone missingness has a closed form (Anderson 1957)."""
    x = sample(300, 0.0)[:, :2]
    x[180:, 1] = np.nan
    found = estimate_moments(
        group_patterns(**cells(x), judges=2), prior_units=0.0, iterations=5000, tolerance=1e-13
    )
    both = x[:180]
    slope = np.cov(both.T, ddof=0)[0, 1] / both[:, 0].var()
    mean = both[:, 1].mean() + slope * (x[:, 0].mean() - both[:, 0].mean())
    assert found.mean[1] == pytest.approx(mean, abs=1e-7)
    assert found.covariance[0, 1] == pytest.approx(slope * x[:, 0].var(), abs=1e-7)


def test_the_order_of_judges_and_units_does_not_matter() -> None:
    x = sample(120, 0.3)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(120), np.array([2, 0, 1])
    one = estimate_moments(group_patterns(**cells(x), judges=3))
    other = estimate_moments(group_patterns(**cells(x[rows][:, columns]), judges=3))
    np.testing.assert_allclose(other.covariance, one.covariance[np.ix_(columns, columns)], atol=1e-10)


def test_judges_who_never_met_get_the_mean_correlation_of_those_who_did() -> None:
    x = sample(400, 0.0)
    x[:200, 2], x[200:, 1] = np.nan, np.nan  # 1 and 2 never met, both met 0
    found = estimate_moments(group_patterns(**cells(x), judges=3))
    assert found.overlaps[1, 2] == 0
    assert found.connected
    sd = np.sqrt(np.diag(found.covariance))
    assert 0.0 < found.covariance[1, 2] / (sd[1] * sd[2]) < 0.8
    assert np.linalg.eigvalsh(found.covariance).min() > 0


def test_a_judge_who_copies_another_leaves_the_covariance_usable() -> None:
    x = sample(300, 0.0)
    x[:, 2] = 2 * x[:, 1] + 3
    found = estimate_moments(group_patterns(**cells(x), judges=3))
    assert np.linalg.cond(found.covariance) < 1e6


def test_uncentred_moments_keep_their_means_at_zero() -> None:
    x = sample(300, 0.2)
    found = estimate_moments(group_patterns(**cells(x), judges=3), centred=False)
    np.testing.assert_array_equal(found.mean, 0.0)
    flipped = x * np.random.default_rng(1).choice([-1.0, 1.0], (300, 1))
    again = estimate_moments(group_patterns(**cells(flipped), judges=3), centred=False)
    np.testing.assert_allclose(again.covariance, found.covariance, atol=1e-10)
