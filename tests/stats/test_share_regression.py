import numpy as np
import pytest
import statsmodels.api as sm

from app.stats.panel_weights import weigh_panel
from app.stats.share_regression import fit_shares, share_of


def shares(seed=0, m=200):
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=(m, 2)), np.ones(m)])
    y = rng.binomial(3, share_of(x @ np.array([1.0, -0.5, 0.3]))) / 3
    return x, y


def test_without_a_penalty_it_is_the_quasi_binomial_fit_with_an_offset():
    x, y = shares()
    offset = np.linspace(-1, 1, y.size)
    used = np.array([np.ones(y.size, bool), np.arange(y.size) % 3 > 0])
    found = fit_shares(x=x, y=y, offset=np.tile(offset, (2, 1)), used=used, ridge=np.zeros((1, 3)))
    for k, rows in enumerate(used):
        fit = sm.GLM(y[rows], x[rows], family=sm.families.Binomial(), offset=offset[rows]).fit()
        assert found[k, 0] == pytest.approx(fit.params, abs=1e-6)


def test_an_infinite_penalty_holds_a_coefficient_at_nothing_and_a_large_one_nearly():
    x, y = shares()
    ridge = np.array([[0.0, np.inf, 0.0], [0.0, 1e6, 0.0]])
    found = fit_shares(x=x, y=y, offset=np.zeros((1, y.size)), used=np.ones((1, y.size), bool), ridge=ridge)
    assert found[0, 0, 1] == 0.0
    assert found[0, 1] == pytest.approx(found[0, 0], abs=1e-3)


def test_shares_that_features_separate_stay_finite():
    x = np.column_stack([np.linspace(-1, 1, 40), np.ones(40)])
    y = (x[:, 0] > 0).astype(float)
    ridge = np.array([[0.04, 1e-6]])
    found = fit_shares(x=x, y=y, offset=np.zeros((1, 40)), used=np.ones((1, 40), bool), ridge=ridge)
    assert np.isfinite(found).all()
    assert found[0, 0, 0] > 1.0


def test_yes_and_no_grades_are_learned_on_log_odds_and_length_is_used():
    rng = np.random.default_rng(3)
    n = 900
    size, quality = rng.normal(size=n), rng.normal(size=n)
    values = quality[:, None] + 0.7 * rng.normal(size=(n, 2))
    human = np.where(
        np.arange(n) < 200, (2 * quality + 2 * size + rng.logistic(size=n) > 2).astype(float), np.nan
    )
    given = {
        "score": values.mean(1), "judge_values": values, "human": human, "group": np.zeros(n, int),
        "prompt": np.arange(n),
    }  # fmt: skip
    told, untold = weigh_panel(**given, size=size), weigh_panel(**given)
    truth = share_of(2 * quality + 2 * size - 2)[200:]
    assert told.odds > 0.5
    assert (
        np.corrcoef(told.prediction[200:], truth)[0, 1]
        > np.corrcoef(untold.prediction[200:], truth)[0, 1] + 0.1
    )


def test_signed_grades_give_predictions_that_change_sign_with_the_pair():
    rng = np.random.default_rng(4)
    quality = rng.normal(size=300)
    values = quality[:, None] + rng.normal(size=(300, 3))
    human = np.where(np.arange(300) < 80, np.sign(quality + 0.5 * rng.normal(size=300)), np.nan)
    turned = {"group": np.zeros(300, int), "prompt": np.arange(300), "signed": True}
    one = weigh_panel(score=values.mean(1), judge_values=values, human=human, **turned)
    other = weigh_panel(score=-values.mean(1), judge_values=-values, human=-human, **turned)
    assert other.prediction == pytest.approx(-one.prediction, abs=1e-5)
