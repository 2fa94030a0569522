"""Sums over rows, and sums over levels of many different weights, against plain dense products."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from app.stats import lmm_criterion, lmm_rows
from app.stats.lmm import RandomTerm, fit_lmm
from app.stats.lmm_elimination import MAX_CLASSES, OuterSums
from app.stats.lmm_predict import conditional_modes, predict_lmm
from tests.stats.lmm.worlds import KINDS, judged


@pytest.mark.parametrize("kind", KINDS)
def test_passes_over_parts_of_the_rows_add_up(kind, monkeypatch):
    world = judged(41)
    whole = fit_lmm(y=world.y, X=sp.csr_array(world.X), groups=world.terms(kind), weights=world.weights)
    monkeypatch.setattr(lmm_rows, "ROWS", 37)
    monkeypatch.setattr(lmm_rows, "CACHED", 11)
    parts = fit_lmm(y=world.y, X=sp.csr_array(world.X), groups=world.terms(kind), weights=world.weights)
    np.testing.assert_allclose(parts.beta, whole.beta, rtol=1e-9)
    assert parts.deviance == pytest.approx(whole.deviance, abs=1e-9)


@pytest.mark.parametrize("kind", ["slopes", "nested"])
def test_level_sums_are_the_same_dense_and_sparse(kind, monkeypatch):
    world = judged(42)
    dense = fit_lmm(y=world.y, X=world.X, groups=world.terms(kind), weights=world.weights)
    monkeypatch.setattr(lmm_criterion, "SCATTER", 0)
    sparse = fit_lmm(y=world.y, X=world.X, groups=world.terms(kind), weights=world.weights)
    assert sparse.deviance == pytest.approx(dense.deviance, abs=1e-9)
    for term in world.terms(kind):
        one, two = conditional_modes(dense, term.name), conditional_modes(sparse, term.name)
        np.testing.assert_allclose(two.effect, one.effect, atol=1e-7)


def test_a_sparse_design_with_long_and_irregular_rows_is_fitted_too():
    rng = np.random.default_rng(43)
    world = judged(43, n=400)
    X = np.where(rng.random((400, 30)) < rng.random((400, 1)), rng.normal(size=(400, 30)), 0.0)
    X[:, 0] = 1.0
    assert (np.count_nonzero(X, axis=1) > lmm_rows.MAX_WIDTH).any()
    dense = fit_lmm(y=world.y, X=X, groups=world.terms("slopes"), weights=world.weights)
    sparse = fit_lmm(y=world.y, X=sp.csr_array(X), groups=world.terms("slopes"), weights=world.weights)
    np.testing.assert_allclose(sparse.beta, dense.beta, rtol=1e-7, atol=1e-9)
    assert sparse.deviance == pytest.approx(dense.deviance, abs=1e-8)


@pytest.mark.parametrize("spread", [1.0, 4.0, 9.0])
def test_levels_of_many_different_weights_are_summed_to_the_last_digits(spread):
    rng = np.random.default_rng(44)
    m = np.exp(rng.uniform(-spread / 2, spread / 2, 500))
    s = rng.normal(size=(500, 4))
    outer = OuterSums(m, s)
    assert len(m) > MAX_CLASSES
    assert len(outer.nodes) < 120
    for theta in (1e-3, 0.3, 1.0, 30.0):
        f = theta**2 / (1 + theta**2 * m)
        exact = s.T @ (s * f[:, None])
        found = outer.combine(theta**2 / (1 + theta**2 * outer.nodes))
        np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-12 * np.abs(exact).max())


def test_a_level_without_rows_has_the_population_as_its_mode():
    world = judged(45)
    item = RandomTerm(name="item", codes=world.item, levels=42)
    system = RandomTerm(name="system", codes=world.system, levels=9)
    fit = fit_lmm(y=world.y, X=world.X, groups=[item, system])
    for name in ("item", "system"):
        modes = conditional_modes(fit, name)
        assert modes.effect[-1, 0] == 0.0
        assert modes.covariance[-1, 0, 0] == pytest.approx(fit.component(name).covariance[0, 0], rel=1e-9)
    assert fit.component("system").used == 6


def test_a_new_cell_of_a_known_item_keeps_the_item():
    world = judged(46)
    fit = fit_lmm(y=world.y, X=world.X, groups=world.terms("nested"))
    X = world.X[:1]
    known = {"item": world.item[:1], "system": np.array([-2]), "cell": np.array([-1])}
    prediction = predict_lmm(fit, X=X, codes=known)
    item = conditional_modes(fit, "item").effect[world.item[0], 0]
    assert prediction.mean[0] == pytest.approx(float(X[0] @ fit.beta) + item, rel=1e-9)
    without = predict_lmm(fit, X=X, codes={**known, "cell": np.array([-2])})
    added = fit.component("cell").covariance[0, 0]
    assert prediction.variance[0] == pytest.approx(without.variance[0] + added, rel=1e-9)


def test_a_row_that_names_a_cell_of_another_item_is_an_error():
    world = judged(47)
    fit = fit_lmm(y=world.y, X=world.X, groups=world.terms("nested"))
    other = (world.item[:1] + 1) % 40
    codes = {"item": other, "system": np.array([-2]), "cell": world.cell[:1]}
    with pytest.raises(ValueError, match="another item"):
        predict_lmm(fit, X=world.X[:1], codes=codes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": {"item": np.array([0])}}, "no codes for random term 'judge'"),
        ({"codes": {"item": np.array([99]), "judge": np.array([0])}}, "between -2 and"),
        ({"codes": {"item": np.array([0.5]), "judge": np.array([0])}}, "integers"),
        ({"columns": {}}, "needs its 1 columns"),
        ({"X": np.ones((1, 5))}, "5 columns"),
    ],
)
def test_a_prediction_that_does_not_fit_the_model_is_refused(change, message):
    world = judged(48)
    fit = fit_lmm(y=world.y, X=world.X, groups=world.terms("independent slopes"))
    good = {
        "X": np.ones((1, 2)),
        "codes": {"item": np.array([0]), "judge": np.array([0])},
        "columns": {"judge": np.array([1.0])},
    }
    predict_lmm(fit, **good)
    with pytest.raises(ValueError, match=message):
        predict_lmm(fit, **{**good, **change})


@pytest.mark.parametrize("kind", ["slopes", "nested"])
def test_a_fit_survives_pickling(kind):
    world = judged(49)
    fit = fit_lmm(y=world.y, X=world.X, groups=world.terms(kind))
    again = pickle.loads(pickle.dumps(fit))
    codes = {t.name: t.codes for t in world.terms(kind)}
    columns = {"judge": world.x}
    one = predict_lmm(fit, X=world.X, codes=codes, columns=columns)
    two = predict_lmm(again, X=world.X, codes=codes, columns=columns)
    np.testing.assert_array_equal(two.mean, one.mean)
    np.testing.assert_array_equal(two.variance, one.variance)
