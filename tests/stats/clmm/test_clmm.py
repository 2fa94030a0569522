"""The cumulative-link model against derivatives, special cases and itself."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from statsmodels.discrete.discrete_model import Logit
from statsmodels.miscmodels.ordinal_model import OrderedModel

from app.stats.clmm import clmm_modes, fit_clmm
from app.stats.clmm_arrow import RandomPart
from app.stats.clmm_likelihood import by_edges, edges, row_terms, tau_of, thresholds
from app.stats.errors import InsufficientData
from app.stats.lmm import RandomTerm
from app.stats.lmm_criterion import MAX_BORDER
from app.stats.lmm_design import blocks_of, check_term
from tests.stats.lmm.worlds import KINDS, judged


def rated(seed: int, n: int = 300, cuts: tuple[float, ...] = (-0.5, 1.0, 2.5)):
    world = judged(seed, n=n)
    rng = np.random.default_rng(seed)
    latent = world.y - 3.0 + rng.logistic(size=n) * 0.5
    return world, (latent[:, None] > np.array(cuts)).sum(axis=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_judge", [False, True])
def test_the_gradient_is_the_derivative_of_the_laplace_criterion(kind, by_judge):
    world, category = rated(61, n=600, cuts=(-0.5, 1.5))
    fit = fit_clmm(
        category=category,
        categories=3,
        X=world.X,
        groups=world.terms(kind),
        weights=world.weights,
        threshold_codes=world.judge if by_judge else None,
    )
    psi = fit.psi + 0.1
    step = 1e-5
    numeric = []
    for e in np.eye(len(psi)):
        up, down = (fit.criterion.value_and_gradient(psi + s * step * e) for s in (1, -1))
        numeric.append((up[0] - down[0]) / (2 * step))
    gradient = fit.criterion.value_and_gradient(psi)[1]
    # Central differences of a criterion near 1e3: truncation h^2 and rounding 1e-13 / h.
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=2e-4)


def test_row_terms_stay_finite_far_out():
    alpha = np.array([[-1.0, 0.0, 1.0]])
    eta = np.repeat([-800.0, -40.0, 0.0, 40.0, 800.0], 4)
    category = np.tile(np.arange(4), 5)
    at = edges(eta, category, np.zeros(20, dtype=int), alpha)
    rows = row_terms(at)
    for values in (rows.log_p, rows.first, rows.curvature, rows.third, *by_edges(at)):
        assert np.isfinite(values).all()
    total = np.exp(rows.log_p).reshape(5, 4).sum(axis=1)
    np.testing.assert_allclose(total[[1, 2, 3]], 1.0, rtol=1e-12)


def test_thresholds_and_their_increments_invert_each_other():
    alpha = np.array([[-2.0, 0.1, 0.2], [1.0, 1.5, 9.0]])
    np.testing.assert_allclose(thresholds(tau_of(alpha)), alpha, rtol=1e-12)


def test_without_random_effects_two_categories_are_logistic_regression():
    world, category = rated(62)
    binary = (category > 1).astype(int)
    fit = fit_clmm(category=binary, categories=2, X=world.X)
    other = Logit(binary, world.X).fit(disp=0, tol=1e-12, method="newton")
    assert fit.dropped == ("x0",)
    assert fit.thresholds[0, 0] == pytest.approx(-other.params[0], rel=1e-7)
    assert fit.beta[0] == pytest.approx(other.params[1], rel=1e-7)
    assert fit.standard_errors[0] == pytest.approx(other.bse[1], rel=1e-6)
    assert fit.thresholds_se[0, 0] == pytest.approx(other.bse[0], rel=1e-6)
    assert fit.log_likelihood == pytest.approx(other.llf, abs=1e-9)


def test_without_random_effects_it_is_the_proportional_odds_model():
    world, category = rated(63)
    fit = fit_clmm(category=category, categories=4, X=world.x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = OrderedModel(category, world.x[:, None], distr="logit").fit(disp=0, method="bfgs", gtol=1e-8)
    assert fit.beta[0] == pytest.approx(other.params[0], rel=1e-5)
    assert fit.log_likelihood == pytest.approx(other.llf, abs=1e-7)


def test_turning_the_scale_round_turns_the_signs():
    world, category = rated(64)
    fit = fit_clmm(category=category, categories=4, X=world.x, groups=world.terms("crossed"))
    turned = fit_clmm(category=3 - category, categories=4, X=world.x, groups=world.terms("crossed"))
    assert turned.deviance == pytest.approx(fit.deviance, abs=1e-8)
    np.testing.assert_allclose(turned.beta, -fit.beta, rtol=1e-5)
    np.testing.assert_allclose(turned.thresholds, -fit.thresholds[:, ::-1], rtol=1e-5)
    np.testing.assert_allclose(clmm_modes(turned, "item"), -clmm_modes(fit, "item"), atol=1e-5)


def test_row_order_does_not_matter_and_a_weight_of_two_is_a_row_twice():
    world, category = rated(65)
    order = np.random.default_rng(0).permutation(len(category))
    twice = np.concatenate([order, order[:50]])
    weights = np.ones(len(category))
    weights[order[:50]] = 2.0
    fit = fit_clmm(category=category, categories=4, X=world.x, groups=world.terms("crossed"), weights=weights)
    again = fit_clmm(
        category=category[twice],
        categories=4,
        X=world.x[twice],
        groups=[
            RandomTerm(name="item", codes=world.item[twice]),
            RandomTerm(name="system", codes=world.system[twice]),
        ],
    )
    assert again.deviance == pytest.approx(fit.deviance, abs=1e-8)
    np.testing.assert_allclose(again.beta, fit.beta, rtol=1e-5)


def test_a_sparse_design_gives_what_the_dense_one_gives():
    world, category = rated(66)
    X = np.column_stack([world.x * (world.judge == j) for j in range(5)])
    fit = fit_clmm(category=category, categories=4, X=X, groups=world.terms("crossed"))
    again = fit_clmm(category=category, categories=4, X=sp.csr_array(X), groups=world.terms("crossed"))
    np.testing.assert_allclose(again.beta, fit.beta, rtol=1e-5)
    np.testing.assert_allclose(again.thresholds, fit.thresholds, rtol=1e-5)
    np.testing.assert_allclose(again.standard_errors, fit.standard_errors, rtol=1e-5)


def test_judges_with_thresholds_of_their_own_get_them_back():
    rng = np.random.default_rng(67)
    n, judges = 6_000, 3
    judge, item, x = rng.integers(0, judges, n), rng.integers(0, 300, n), rng.normal(size=n)
    cuts = np.array([[-1.5, 0.0, 1.5], [-0.5, 0.0, 0.5], [0.0, 1.0, 2.5]])
    latent = 0.7 * x + rng.normal(size=300)[item] + rng.logistic(size=n)
    category = (latent[:, None] > cuts[judge]).sum(axis=1)
    fit = fit_clmm(
        category=category,
        categories=4,
        X=x,
        groups=[RandomTerm(name="item", codes=item)],
        threshold_codes=judge,
    )
    assert fit.converged
    np.testing.assert_array_less(np.abs(fit.thresholds - cuts) / fit.thresholds_se, 4.0)
    assert abs(fit.beta[0] - 0.7) < 4 * fit.standard_errors[0]
    assert fit.component("item").sd[0] == pytest.approx(1.0, abs=0.15)


def test_a_category_that_never_occurs_is_too_little_data():
    world, category = rated(68)
    with pytest.raises(InsufficientData, match="category 4"):
        fit_clmm(category=category, categories=5, X=world.x)


def test_a_standard_deviation_of_zero_is_said_to_be_singular():
    fit = fit_clmm(
        category=np.tile([0, 1, 2], 100),  # every group holds every category equally often
        categories=3,
        X=np.random.default_rng(69).normal(size=300),
        groups=[RandomTerm(name="g", codes=np.repeat(np.arange(100), 3) % 5)],
    )
    assert fit.component("g").sd[0] < 1e-3
    assert fit.singular
    assert np.isinf(fit.log_sd_se[0])


def test_complete_separation_is_not_a_confident_number():
    x = np.linspace(-1, 1, 40)
    fit = fit_clmm(category=(x > 0).astype(int), categories=2, X=x)
    assert not (fit.converged and fit.identified and fit.standard_errors[0] < abs(fit.beta[0]) / 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category": np.array([0, 1, 2, 1])}, "integers from 0 to 1"),
        ({"category": np.array([0, 1, 0.5, 1])}, "integers from 0 to 1"),
        ({"weights": np.array([1.0, 0.0, 1.0, 1.0])}, "weight 0"),
        ({"threshold_codes": np.array([0, -1, 0, 0])}, "threshold_codes"),
    ],
)
def test_arrays_that_make_no_model_are_refused(change, message):
    good = {"category": np.array([0, 1, 0, 1]), "categories": 2, "X": np.array([0.0, 1.0, 3.0, 2.0])}
    with pytest.raises(ValueError, match=message):
        fit_clmm(**{**good, **change})


@pytest.mark.parametrize("kind", KINDS)
def test_the_arrow_is_the_dense_matrix(kind):
    """Solution, log determinant and the variance of every row against H written out."""
    world, _ = rated(71, n=200)
    terms = tuple(check_term(t, 200, np.ones(200, dtype=bool)) for t in world.terms(kind))
    blocks = blocks_of(terms)
    random = RandomPart(terms, blocks, 200)
    rng = np.random.default_rng(71)
    D = rng.uniform(0.05, 0.5, 200)
    lambdas = [np.tril(rng.normal(size=(b.size, b.size))) for b in blocks]
    ZS = np.column_stack([random.rows(e, lambdas) for e in np.eye(random.size)])
    H = np.eye(random.size) + ZS.T @ (D[:, None] * ZS)
    arrow = random.arrow(D, lambdas)
    assert arrow.log_det == pytest.approx(np.linalg.slogdet(H)[1], rel=1e-10)
    right = rng.normal(size=random.size)
    np.testing.assert_allclose(random.solve(arrow, right), np.linalg.solve(H, right), rtol=1e-8, atol=1e-10)
    v, _ = random.spread(arrow)
    np.testing.assert_allclose(
        v, np.einsum("ij,ij->i", ZS, np.linalg.solve(H, ZS.T).T), rtol=1e-8, atol=1e-12
    )
    y = rng.normal(size=200)
    np.testing.assert_allclose(random.spherical(random.sums(y), lambdas), ZS.T @ y, rtol=1e-8, atol=1e-10)


def test_thousands_of_cells_of_judge_and_item_cost_no_dense_matrix():
    """Three judges see 900 items six times: 2,700 cells, more than a dense border may hold."""
    rng = np.random.default_rng(72)
    item, judge, _ = np.indices((900, 3, 6)).reshape(3, -1)
    cell = item * 3 + judge
    x = rng.normal(size=item.size)
    latent = 0.5 * x + 1.2 * rng.normal(size=900)[item] + 0.8 * rng.normal(size=2_700)[cell]
    category = ((latent + rng.logistic(size=item.size))[:, None] > np.array([-1.0, 0.5, 2.0])).sum(axis=1)
    assert cell.max() + 1 > MAX_BORDER
    fit = fit_clmm(
        category=category,
        categories=4,
        X=x,
        groups=[RandomTerm(name="cell", codes=cell), RandomTerm(name="item", codes=item)],
        threshold_codes=judge,
    )
    assert fit.converged
    assert fit.identified
    assert abs(fit.beta[0] - 0.5) < 4 * fit.standard_errors[0]
    # Laplace takes the variance of small cells for too small: .52 for .8 with two rows in each.
    for name, sd in (("item", 1.2), ("cell", 0.8)):
        assert fit.component(name).sd[0] == pytest.approx(sd, abs=0.15)
    modes = clmm_modes(fit, "cell")
    assert modes.shape == (2_700, 1)


def test_two_large_crossed_factors_are_refused_in_words():
    rng = np.random.default_rng(73)
    one, two = rng.integers(0, 4_000, 9_000), rng.integers(0, 3_000, 9_000)
    with pytest.raises(ValueError, match="at most 2500 here"):
        fit_clmm(
            category=rng.integers(0, 2, 9_000),
            categories=2,
            X=np.zeros((9_000, 0)),
            groups=[RandomTerm(name="one", codes=one), RandomTerm(name="two", codes=two)],
        )
