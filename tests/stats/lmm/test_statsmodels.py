"""A second reference, run rather than stored: statsmodels' MixedLM where it can fit the model."""

import warnings

import numpy as np
import pytest
from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

from app.stats.lmm import fit_lmm
from tests.stats.lmm.worlds import judged


def reference(y, X, parts, reml):
    names = list(parts)
    mats = [[(np.arange(int(c.max()) + 1) == c[:, None]).astype(float)] for c in parts.values()]
    columns = [[[f"{n}{k}" for k in range(m[0].shape[1])]] for n, m in zip(names, mats, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its optimiser warns of boundaries that are not reached here
        model = MixedLM(y, X, groups=np.ones(len(y)), exog_vc=VCSpec(names, columns, mats))
        return model.fit(reml=reml, method=["bfgs", "lbfgs"], gtol=1e-8)


@pytest.mark.parametrize("reml", [True, False])
def test_crossed_intercepts_agree_with_statsmodels(reml):
    world = judged(31, n=200, items=30)
    fit = fit_lmm(y=world.y, X=world.X, groups=world.terms("crossed"), reml=reml)
    other = reference(world.y, world.X, {"item": world.item, "system": world.system}, reml)
    # Its optimiser stops at a gradient, not at the last digit.
    np.testing.assert_allclose(fit.beta, other.fe_params, rtol=1e-4)
    assert fit.sigma2 == pytest.approx(other.scale, rel=1e-3)
    ours = [fit.component("item").covariance[0, 0], fit.component("system").covariance[0, 0]]
    np.testing.assert_allclose(ours, other.vcomp, rtol=2e-3)
    if not reml:
        assert fit.log_likelihood == pytest.approx(other.llf, abs=1e-4)
        assert fit.log_likelihood >= other.llf - 1e-6
    np.testing.assert_allclose(fit.standard_errors, np.sqrt(np.diag(other.cov_params()))[:2], rtol=5e-3)


def test_correlated_slopes_agree_with_statsmodels():
    world = judged(32, n=300, judges=12)
    fit = fit_lmm(y=world.y, X=world.X, groups=world.terms("slopes only"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = MixedLM(world.y, world.X, groups=world.judge, exog_re=world.X).fit(
            method=["bfgs", "lbfgs"], gtol=1e-8
        )
    np.testing.assert_allclose(fit.beta, other.fe_params, rtol=1e-4)
    np.testing.assert_allclose(fit.component("judge").covariance, other.cov_re, rtol=5e-3, atol=1e-4)
