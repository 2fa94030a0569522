"""The panel's common factor: any subset of judges on one scale."""

import numpy as np
import pytest

from app.stats.errors import InsufficientData
from app.stats.factors import PanelFactor, fit_panel_factor, score_units, subset_weights

LOADING = np.array([0.9, 0.7, 0.5, 0.8])
FAMILIES = ("a", "b", "c", "d")


def panel(n: int = 4000, missing: float = 0.4, seed: int = 5, noise: float = 0.6) -> np.ndarray:
    """Scores (n, 4) with one factor; NaN where a judge did not sit."""
    rng = np.random.default_rng(seed)
    q = rng.standard_normal(n)
    x = np.array([0.2, -0.3, 0.0, 1.0]) + q[:, None] * LOADING + noise * rng.standard_normal((n, 4))
    x[rng.random(x.shape) < missing] = np.nan
    return x


def cells(x: np.ndarray, draws: int = 1) -> dict[str, np.ndarray]:
    unit, judge = np.nonzero(np.isfinite(x))
    ones = np.ones(len(unit), np.int64)
    return {"unit": unit, "judge": judge, "value": x[unit, judge], "draws": draws * ones}


def fit(x: np.ndarray, families: tuple[str, ...] = FAMILIES) -> PanelFactor:
    c = cells(x)
    return fit_panel_factor(**c, within=np.zeros(len(c["unit"])), families=families)


def test_planted_loadings_are_recovered() -> None:
    found = fit(panel())
    np.testing.assert_allclose(found.loading, LOADING, atol=0.06)  # about 3 standard errors of 4,000 units
    assert found.converged
    assert found.used.all()


def test_the_score_of_any_subset_is_the_conditional_expectation_of_the_factor() -> None:
    x = panel(300)
    found = fit(x)
    scores = score_units(found, **cells(x), units=300)
    joint = np.block([[np.ones((1, 1)), found.loading[None]], [found.loading[:, None], found.covariance]])
    for i in range(0, 300, 17):
        o = np.flatnonzero(np.isfinite(x[i]))
        if not len(o):
            assert np.isnan(scores.score[i])
            continue
        pull = np.linalg.solve(joint[np.ix_(o + 1, o + 1)], joint[o + 1, 0])
        assert scores.score[i] * scores.reliability[i] == pytest.approx(pull @ (x[i, o] - found.mean[o]))
        assert scores.reliability[i] == pytest.approx(pull @ joint[o + 1, 0])


def test_fewer_judges_are_less_reliable() -> None:
    found = fit(panel())
    one = subset_weights(found, np.array([0]), np.array([1]))[1]
    three = subset_weights(found, np.array([0, 1, 3]), np.array([1, 1, 1]))[1]
    assert 0 < one < three < 1


def test_an_affine_change_of_one_judge_changes_nobodys_score() -> None:
    x = panel(500)
    changed = x.copy()
    changed[:, 1] = 3 + 0.1 * changed[:, 1]
    one = score_units(fit(x), **cells(x), units=500)
    other = score_units(fit(changed), **cells(changed), units=500)
    np.testing.assert_allclose(other.score, one.score, atol=1e-5)
    np.testing.assert_allclose(other.reliability, one.reliability, atol=1e-5)


def test_the_order_of_judges_does_not_matter() -> None:
    x, order = panel(500), np.array([3, 1, 0, 2])
    one = score_units(fit(x), **cells(x), units=500)
    other = score_units(fit(x[:, order]), **cells(x[:, order]), units=500)
    np.testing.assert_allclose(other.score, one.score, atol=1e-8)


def test_what_a_family_shares_is_not_taken_for_quality() -> None:
    rng = np.random.default_rng(8)
    n = 4000
    q, shared = rng.standard_normal(n), rng.standard_normal(n)
    x = 0.7 * q[:, None] + 0.4 * rng.standard_normal((n, 4))
    x[:, :2] += 0.8 * shared[:, None]
    found = fit(x, ("kin", "kin", "b", "c"))
    np.testing.assert_allclose(found.loading, 0.7, atol=0.06)


def test_one_judge_alone_is_scored_with_an_assumed_reliability() -> None:
    found = fit(panel(200, 0.0)[:, :1], ("a",))
    assert found.assumed_reliability
    assert 0 < subset_weights(found, np.array([0]), np.array([1]))[1] < 1


def test_two_judges_load_alike_as_nothing_tells_them_apart() -> None:
    found = fit(panel(3000, 0.0)[:, :2], ("a", "b"))
    assert found.loading[0] / found.sd[0] == pytest.approx(found.loading[1] / found.sd[1], rel=0.02)


def test_judges_who_never_met_are_standardised_and_this_is_said() -> None:
    x = panel(400, 0.0)[:, :2]
    x[:200, 0], x[200:, 1] = np.nan, np.nan
    found = fit(x, ("a", "b"))
    assert found.assumed_reliability
    scores = score_units(found, **cells(x), units=400)
    assert np.nanmean(scores.score[:200]) == pytest.approx(0, abs=1e-9)


def test_a_constant_judge_carries_no_weight_and_the_reason_is_given() -> None:
    x = panel(300, 0.0)
    x[:, 2] = 0.5
    found = fit(x)
    assert not found.used[2]
    assert "same score" in str(found.reason[2])
    assert np.isfinite(score_units(found, **cells(x), units=300).score).all()


def test_only_constant_judges_are_too_little() -> None:
    with pytest.raises(InsufficientData, match="scores that differ"):
        fit(np.full((50, 2), 0.3), ("a", "b"))


def test_judges_that_disagree_entirely_are_called_weak() -> None:
    rng = np.random.default_rng(2)
    found = fit(rng.standard_normal((500, 3)), ("a", "b", "c"))
    assert found.weak
    assert subset_weights(found, np.array([0, 1, 2]), np.ones(3, int))[1] < 0.2


def test_the_mean_of_more_draws_is_more_reliable() -> None:
    rng = np.random.default_rng(4)
    n = 2000
    draws = rng.integers(1, 5, (n, 3))
    q = rng.standard_normal(n)[:, None]
    base = 0.8 * q + 0.4 * rng.standard_normal((n, 3))
    repeats = base[:, :, None] + 0.7 * rng.standard_normal((n, 3, 4))
    taken = np.arange(4) < draws[:, :, None]
    mean = (repeats * taken).sum(axis=2) / draws
    within = ((repeats - mean[:, :, None]) ** 2 * taken).sum(axis=2)
    unit, judge = np.nonzero(np.ones((n, 3)))
    found = fit_panel_factor(
        unit=unit, judge=judge, value=mean.ravel(), draws=draws.ravel(), within=within.ravel(),
        families=("a", "b", "c"),
    )  # fmt: skip
    np.testing.assert_allclose(found.repeat_variance, 0.49, rtol=0.1)
    single = subset_weights(found, np.array([0]), np.array([1]))[1]
    many = subset_weights(found, np.array([0]), np.array([50]))[1]
    assert single == pytest.approx(0.64 / (0.64 + 0.16 + 0.49), abs=0.05)
    assert many == pytest.approx(0.64 / (0.64 + 0.16), abs=0.06)
