"""The engine against lme4, lmerTest and pbkrtest on stored cases (made by golden/make_golden.R)."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.stats.lmm import LmmFit, RandomTerm, fit_lmm
from app.stats.lmm_inference import contrast
from app.stats.lmm_predict import conditional_modes

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.stem for path in GOLDEN.glob("*.json"))


@cache
def golden(name: str) -> tuple[dict[str, Any], LmmFit]:
    case = json.loads((GOLDEN / f"{name}.json").read_text())
    fit = fit_lmm(
        y=np.array(case["y"], float),
        X=np.array(case["X"], float).T,
        names=np.atleast_1d(case["x_names"]).tolist(),
        weights=None if case["weights"] is None else np.array(case["weights"]),
        reml=case["reml"],
        groups=[
            RandomTerm(
                name=t["name"],
                codes=np.array(t["codes"]),
                levels=t["levels"],
                intercept=t["intercept"],
                columns=np.array(t["columns"], float).T if t["columns"] else None,
            )
            for t in case["terms"]
        ],
    )
    return case["result"], fit


def test_there_are_golden_cases():
    assert len(CASES) >= 20


@pytest.mark.parametrize("name", CASES)
def test_the_criterion_is_as_low_as_the_reference(name):
    result, fit = golden(name)
    assert fit.deviance <= result["deviance"] + 1e-6
    # and no lower than the same optimum allows: a gap would be another criterion, not a better minimum
    assert fit.deviance >= result["deviance"] - 1e-5
    assert fit.converged
    assert fit.identified
    assert fit.singular == result["singular"]


@pytest.mark.parametrize("name", CASES)
def test_fixed_effects_and_their_errors_agree(name):
    result, fit = golden(name)
    beta = np.atleast_1d(result["beta"])
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-6, atol=1e-6)
    reference = np.array(result["vcov"], float).reshape(len(beta), -1)
    np.testing.assert_allclose(fit.standard_errors, np.sqrt(np.diag(reference)), rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_variance_components_agree(name):
    result, fit = golden(name)
    assert fit.sigma**2 == pytest.approx(result["sigma"] ** 2, rel=1e-4)
    for component, covariance in zip(fit.components, result["covariance"], strict=True):
        reference = np.array(covariance, float).reshape(len(component.sd), -1)
        # A correlation near 0 is compared on the scale of its standard deviations.
        atol = 1e-4 * float(np.sqrt(np.diag(reference)).max() ** 2) + 1e-9 * fit.sigma2
        np.testing.assert_allclose(component.covariance, reference, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("name", CASES)
def test_conditional_modes_agree(name):
    result, fit = golden(name)
    for component, reference in zip(fit.components, result["modes"], strict=True):
        modes = conditional_modes(fit, component.term)
        expected = np.array(reference, float).reshape(modes.effect.shape)
        # A relative 1e-4 in a variance moves a mode by up to that part of its standard deviation.
        np.testing.assert_allclose(modes.effect, expected, atol=1e-4 * max(component.sd.max(), 1e-6))


@pytest.mark.parametrize("name", [name for name in CASES if not name.endswith("_ml")])
def test_satterthwaite_degrees_of_freedom_agree_with_lmertest(name):
    result, fit = golden(name)
    df = contrast(fit, L=np.eye(fit.p)).df
    np.testing.assert_allclose(df, np.atleast_1d(result["satterthwaite"]), rtol=1e-3)


WITH_KR = [name for name in CASES if "kenward_roger" in (GOLDEN / f"{name}.json").read_text()]


def test_there_are_kenward_roger_cases():
    assert len(WITH_KR) >= 15


@pytest.mark.parametrize("name", WITH_KR)
def test_kenward_roger_agrees_with_pbkrtest(name):
    result, fit = golden(name)
    found = contrast(fit, L=np.eye(fit.p), method="kenward-roger")
    np.testing.assert_allclose(found.se, np.atleast_1d(result["kenward_roger"]["se"]), rtol=1e-5)
    np.testing.assert_allclose(found.df, np.atleast_1d(result["kenward_roger"]["df"]), rtol=1e-3)
