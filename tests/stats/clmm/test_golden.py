"""The cumulative-link model against ordinal, glmmTMB and lme4 on stored cases.

They are made by golden/make_golden.R.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.stats.clmm import ClmmFit, fit_clmm
from app.stats.lmm import RandomTerm

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.stem for path in GOLDEN.glob("*.json"))


@cache
def golden(name: str) -> tuple[dict[str, Any], ClmmFit]:
    case = json.loads((GOLDEN / f"{name}.json").read_text())
    fit = fit_clmm(
        category=np.array(case["category"]),
        categories=case["categories"],
        X=np.array(case["X"], float).T,
        names=np.atleast_1d(case["x_names"]).tolist(),
        weights=case["weights"],
        threshold_codes=case["threshold_codes"],
        groups=[
            RandomTerm(
                name=t["name"],
                codes=np.array(t["codes"]),
                levels=t["levels"],
                columns=np.array(t["columns"], float).T if t["columns"] else None,
            )
            for t in case["terms"]
        ],
    )
    return case["result"], fit


def test_there_are_golden_cases():
    assert len(CASES) >= 10


@pytest.mark.parametrize("name", CASES)
def test_the_laplace_deviance_is_as_low_as_the_reference(name):
    result, fit = golden(name)
    assert fit.converged
    assert fit.identified
    assert fit.deviance <= result["deviance"] + 1e-6
    assert fit.deviance >= result["deviance"] - 1e-4
    if "glmer" in result:  # derivative-free: known to stop up to 2e-3 above the optimum
        assert fit.deviance == pytest.approx(result["glmer"], abs=2e-3)


@pytest.mark.parametrize("name", CASES)
def test_effects_thresholds_and_their_errors_agree(name):
    result, fit = golden(name)
    # The references find the conditional modes to about 1e-6, which is what limits this.
    np.testing.assert_allclose(fit.beta, np.atleast_1d(result["beta"]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fit.standard_errors, np.atleast_1d(result["se"]), rtol=2e-4)
    if result["thresholds"] is not None:
        np.testing.assert_allclose(
            fit.thresholds[0], np.atleast_1d(result["thresholds"]), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(fit.thresholds_se[0], np.atleast_1d(result["thresholds_se"]), rtol=2e-4)


@pytest.mark.parametrize("name", CASES)
def test_variance_components_agree(name):
    result, fit = golden(name)
    reference = list(result["covariance"].values()) if result["covariance"] else []
    for component, covariance in zip(fit.components, reference, strict=True):
        expected = np.array(covariance, float).reshape(len(component.sd), -1)
        np.testing.assert_allclose(component.covariance, expected, rtol=1e-3, atol=1e-4)
