"""The engine against dense matrices, against cases with closed forms, and against itself."""

import numpy as np
import pytest
import scipy.sparse as sp

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.lmm import RandomTerm, fit_lmm
from app.stats.lmm_inference import contrast
from app.stats.lmm_predict import conditional_modes, predict_lmm
from tests.stats.lmm.dense import at_estimates, kenward_roger
from tests.stats.lmm.worlds import KINDS, judged


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reml", [True, False])
def test_every_structure_agrees_with_dense_matrices(kind, weighted, reml):
    world = judged(3)
    terms = world.terms(kind)
    w = world.weights if weighted else None
    fit = fit_lmm(y=world.y, X=world.X, groups=terms, weights=w, reml=reml)
    dense = at_estimates(fit, terms, world.y, world.X, w)

    assert fit.converged
    # Rounding of n x n inverses is all that separates the two.
    np.testing.assert_allclose(fit.beta, dense.beta, rtol=1e-9)
    np.testing.assert_allclose(fit.covariance, dense.covariance, rtol=1e-8, atol=1e-12)
    assert fit.deviance == pytest.approx(dense.deviance, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_predictions_and_modes_carry_the_uncertainty_of_dense_matrices(kind, weighted):
    world = judged(4)
    terms = world.terms(kind)
    w = world.weights if weighted else None
    fit = fit_lmm(y=world.y, X=world.X, groups=terms, weights=w)
    dense = at_estimates(fit, terms, world.y, world.X, w)
    codes = {t.name: np.where(t.codes < 0, -2, t.codes) for t in terms}
    columns = {t.name: t.columns for t in terms if t.columns is not None}

    prediction = predict_lmm(fit, X=world.X, codes=codes, columns=columns)
    np.testing.assert_allclose(prediction.mean, dense.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(prediction.variance, dense.variance, rtol=1e-8, atol=1e-11)

    modes = [conditional_modes(fit, t.name) for t in terms]
    np.testing.assert_allclose(np.concatenate([m.effect.ravel() for m in modes]), dense.modes, atol=1e-9)
    spread = np.concatenate([m.standard_errors.ravel() ** 2 for m in modes])
    np.testing.assert_allclose(spread, dense.mode_variance, rtol=1e-7, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_kenward_roger_agrees_with_dense_matrices(kind, weighted):
    world = judged(3, n=160, items=25)
    terms = world.terms(kind)
    w = world.weights if weighted else None
    fit = fit_lmm(y=world.y, X=world.X, groups=terms, weights=w)
    covariance, df = kenward_roger(fit, terms, world.X, w)
    found = contrast(fit, L=np.eye(2), method="kenward-roger")
    np.testing.assert_allclose(found.se, np.sqrt(np.diag(covariance)), rtol=1e-7)
    np.testing.assert_allclose(found.df, df, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_the_derivative_of_the_criterion(kind):
    world = judged(5)
    fit = fit_lmm(y=world.y, X=world.X, groups=world.terms(kind), weights=world.weights)
    criterion = fit.engine.criterion
    theta = fit.engine.state.theta + 0.2
    step = 1e-5
    numeric = [
        (
            criterion.deviance(criterion.factor(theta + step * e))
            - criterion.deviance(criterion.factor(theta - step * e))
        )
        / (2 * step)
        for e in np.eye(len(theta))
    ]
    # Central differences: h^2 truncation plus rounding of a criterion near 1e3.
    np.testing.assert_allclose(criterion.gradient(criterion.factor(theta)), numeric, rtol=1e-5, atol=1e-5)


def test_without_random_terms_it_is_weighted_least_squares():
    world = judged(6)
    fit = fit_lmm(y=world.y, X=world.X, weights=world.weights)
    root = np.sqrt(world.weights)
    beta, rss, _, _ = np.linalg.lstsq(world.X * root[:, None], world.y * root, rcond=None)
    sigma2 = rss[0] / (len(world.y) - 2)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-11)
    assert fit.sigma2 == pytest.approx(sigma2, rel=1e-11)
    np.testing.assert_allclose(
        fit.covariance, sigma2 * np.linalg.inv(world.X.T * world.weights @ world.X), rtol=1e-10
    )
    assert fit.converged
    assert fit.identified
    assert not fit.singular


def test_a_balanced_one_way_layout_has_the_anova_solution():
    rng = np.random.default_rng(7)
    groups, size = 12, 5
    code = np.repeat(np.arange(groups), size)
    y = 2.0 + rng.normal(size=groups)[code] + rng.normal(size=groups * size)
    fit = fit_lmm(y=y, X=np.ones((len(y), 1)), groups=[RandomTerm(name="g", codes=code)])
    means = y.reshape(groups, size).mean(axis=1)
    between = size * means.var(ddof=1)
    within = ((y - means[code]) ** 2).sum() / (groups * (size - 1))
    assert fit.sigma2 == pytest.approx(within, rel=1e-9)
    assert fit.component("g").covariance[0, 0] == pytest.approx((between - within) / size, rel=1e-8)
    assert fit.beta[0] == pytest.approx(means.mean(), rel=1e-12)
    assert fit.standard_errors[0] == pytest.approx(np.sqrt(between / (groups * size)), rel=1e-9)


def test_less_variance_between_than_within_gives_exactly_zero_and_says_singular():
    rng = np.random.default_rng(8)
    code = np.repeat(np.arange(10), 6)
    noise = rng.normal(size=60)
    y = noise - np.bincount(code, noise)[code] / 6  # every group has mean 0
    fit = fit_lmm(y=y, X=np.ones((60, 1)), groups=[RandomTerm(name="g", codes=code)])
    assert fit.component("g").sd[0] == 0.0
    assert fit.singular
    assert fit.converged
    assert fit.identified


@pytest.mark.parametrize("kind", ["slopes", "nested"])
def test_row_order_and_level_labels_do_not_matter(kind):
    world = judged(9)
    terms = world.terms(kind)
    fit = fit_lmm(y=world.y, X=world.X, groups=terms)
    rng = np.random.default_rng(1)
    order = rng.permutation(len(world.y))
    moved = []
    for t in terms:
        levels = t.levels or int(t.codes.max()) + 1
        label = rng.permutation(levels)
        columns = None if t.columns is None else t.columns[order]
        moved.append(RandomTerm(name=t.name, codes=label[t.codes[order]], levels=levels, columns=columns))
    again = fit_lmm(y=world.y[order], X=world.X[order], groups=moved)
    assert again.deviance == pytest.approx(fit.deviance, abs=1e-9)
    np.testing.assert_allclose(again.beta, fit.beta, rtol=1e-8)
    for one, two in zip(fit.components, again.components, strict=True):
        np.testing.assert_allclose(two.covariance, one.covariance, rtol=1e-6)


def test_scaling_and_shifting_the_outcome_scales_and_shifts_the_results():
    world = judged(10)
    terms = world.terms("slopes")
    fit = fit_lmm(y=world.y, X=world.X, groups=terms)
    # 1e6 + 1e-3 y keeps ten digits of y: the comparison is to what those digits allow.
    again = fit_lmm(y=1e6 + 1e-3 * world.y, X=world.X, groups=terms)
    assert again.beta[1] == pytest.approx(1e-3 * fit.beta[1], rel=1e-5)
    assert again.sigma2 == pytest.approx(1e-6 * fit.sigma2, rel=1e-5)
    expected = fit.deviance + 2 * fit.df * np.log(1e-3)
    assert again.deviance == pytest.approx(expected, abs=1e-3)


def test_adding_fixed_effects_to_the_outcome_leaves_the_variances_alone():
    world = judged(11)
    fit = fit_lmm(y=world.y, X=world.X, groups=world.terms("crossed"))
    again = fit_lmm(y=world.y + world.X @ [5.0, -2.0], X=world.X, groups=world.terms("crossed"))
    np.testing.assert_allclose(again.beta, fit.beta + np.array([5.0, -2.0]), rtol=1e-9)
    assert again.deviance == pytest.approx(fit.deviance, abs=1e-9)


def test_badly_scaled_and_offset_columns_cost_no_digits():
    world = judged(12)
    X = np.column_stack([np.ones(len(world.y)), 1e6 + 1e-3 * world.x])
    fit = fit_lmm(y=world.y, X=world.X, groups=world.terms("crossed"))
    again = fit_lmm(y=world.y, X=X, groups=world.terms("crossed"))
    assert again.beta[1] * 1e-3 == pytest.approx(fit.beta[1], rel=1e-6)
    assert again.sigma2 == pytest.approx(fit.sigma2, rel=1e-6)


@pytest.mark.parametrize("kind", ["slopes", "nested"])
def test_a_sparse_design_gives_what_the_dense_one_gives(kind):
    world = judged(13)
    X = np.column_stack(
        [world.judge == j for j in range(5)] + [world.x * (world.judge == j) for j in range(5)]
    )
    X = X.astype(float)
    fit = fit_lmm(y=world.y, X=X, groups=world.terms(kind), weights=world.weights)
    again = fit_lmm(y=world.y, X=sp.csr_array(X), groups=world.terms(kind), weights=world.weights)
    np.testing.assert_allclose(again.beta, fit.beta, rtol=1e-7)
    np.testing.assert_allclose(again.covariance, fit.covariance, rtol=1e-6, atol=1e-9)
    assert again.deviance == pytest.approx(fit.deviance, abs=1e-8)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_zero_and_aliased_columns_are_dropped_and_named(make):
    world = judged(14)
    n = len(world.y)
    rng = np.random.default_rng(0)
    other = rng.normal(size=n)
    X = np.column_stack([np.ones(n), np.zeros(n), world.x, 3 * world.x - 2, other])
    names = ["one", "nothing", "length", "length again", "other"]
    fit = fit_lmm(y=world.y, X=make(X), groups=world.terms("item"), names=names)
    plain = fit_lmm(y=world.y, X=X[:, [0, 2, 4]], groups=world.terms("item"))
    assert fit.dropped == ("nothing", "length again")
    assert fit.kept.tolist() == [0, 2, 4]
    np.testing.assert_allclose(fit.beta, plain.beta, rtol=1e-7)
    assert fit.deviance == pytest.approx(plain.deviance, abs=1e-7)
    assert any("length again" in reason for reason in fit.reasons)


def test_rows_of_weight_zero_are_not_there():
    world = judged(15)
    keep = np.arange(len(world.y)) % 5 != 0
    w = np.where(keep, world.weights, 0.0)
    y = np.where(keep, world.y, np.nan)
    fit = fit_lmm(y=y, X=world.X, groups=world.terms("crossed"), weights=w)
    items, systems = np.unique(world.item[keep], return_inverse=True)[1], world.system[keep]
    plain = fit_lmm(
        y=world.y[keep],
        X=world.X[keep],
        groups=[RandomTerm(name="item", codes=items), RandomTerm(name="system", codes=systems)],
        weights=w[keep],
    )
    assert fit.n == plain.n == keep.sum()
    np.testing.assert_allclose(fit.beta, plain.beta, rtol=1e-9)
    assert fit.deviance == pytest.approx(plain.deviance, abs=1e-9)


def test_a_new_level_adds_its_variance_and_an_absent_term_adds_nothing():
    world = judged(16)
    fit = fit_lmm(y=world.y, X=world.X, groups=world.terms("slopes"))
    X = np.array([[1.0, 2.0]])
    none = {"item": np.array([-2]), "system": np.array([-2]), "judge": np.array([-2])}
    slopes = {"judge": np.array([2.0])}
    base = predict_lmm(fit, X=X, codes=none, columns=slopes)
    fresh = predict_lmm(fit, X=X, codes={k: np.array([-1]) for k in none}, columns=slopes)
    added = fit.component("item").covariance[0, 0] + fit.component("system").covariance[0, 0]
    z = np.array([1.0, 2.0])
    added += z @ fit.component("judge").covariance @ z
    assert base.mean[0] == pytest.approx(float((X @ fit.beta)[0]), rel=1e-12)
    assert base.variance[0] == pytest.approx(float((X @ fit.covariance @ X.T)[0, 0]), rel=1e-10)
    assert fresh.mean[0] == pytest.approx(base.mean[0], rel=1e-12)
    assert fresh.variance[0] == pytest.approx(base.variance[0] + added, rel=1e-10)


def test_a_single_level_under_an_intercept_is_not_identified_and_says_why():
    world = judged(17)
    one = RandomTerm(name="judge", codes=np.zeros(len(world.y), dtype=int))
    fit = fit_lmm(y=world.y, X=world.X, groups=[*world.terms("item"), one])
    assert not fit.identified
    assert not fit.component("judge").identified
    assert fit.component("item").identified
    assert fit.converged
    assert any("judge" in reason for reason in fit.reasons)


def test_two_names_for_one_factor_cannot_be_told_apart():
    world = judged(18)
    twin = RandomTerm(name="twin", codes=world.system)
    fit = fit_lmm(y=world.y, X=world.X, groups=[*world.terms("crossed"), twin])
    assert not fit.identified
    assert any("twin" in reason and "system" in reason for reason in fit.reasons)


def test_one_row_per_level_leaves_no_residual_variance_to_identify():
    rng = np.random.default_rng(19)
    fit = fit_lmm(
        y=rng.normal(size=30), X=np.ones((30, 1)), groups=[RandomTerm(name="row", codes=np.arange(30))]
    )
    assert not fit.identified
    assert any("residual" in reason for reason in fit.reasons)


def test_an_outcome_that_the_fixed_effects_reproduce_is_refused_by_name():
    with pytest.raises(NotIdentified, match="residual variance"):
        fit_lmm(
            y=np.full(20, 3.0), X=np.ones((20, 1)), groups=[RandomTerm(name="g", codes=np.arange(20) % 4)]
        )


def test_more_coefficients_than_rows_is_too_little_data():
    rng = np.random.default_rng(20)
    with pytest.raises(InsufficientData):
        fit_lmm(y=rng.normal(size=5), X=rng.normal(size=(5, 5)))


def test_a_declared_nesting_that_does_not_hold_is_an_error():
    world = judged(21)
    wrong = RandomTerm(name="judge", codes=world.judge, nested_in="item")
    with pytest.raises(ValueError, match="not nested"):
        fit_lmm(y=world.y, X=world.X, groups=[*world.terms("item"), wrong])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.array([1.0, np.nan, 2.0, 3.0])}, "y holds"),
        ({"X": np.array([[1.0], [np.inf], [1.0], [1.0]])}, "X holds"),
        ({"X": np.ones((3, 1))}, "X has shape"),
        ({"weights": np.array([1.0, -1.0, 1.0, 1.0])}, "weights"),
        ({"groups": [RandomTerm(name="g", codes=np.array([0, 1, 2]))]}, "codes of random term"),
        ({"groups": [RandomTerm(name="g", codes=np.array([0.0, 1.0, 1.0, 0.0]))]}, "must be integers"),
        ({"groups": [RandomTerm(name="g", codes=np.array([0, 1, 1, 5]), levels=3)]}, "3 levels"),
    ],
)
def test_arrays_that_make_no_model_are_refused_with_what_is_wrong(change, message):
    good = {"y": np.array([1.0, 2.0, 2.5, 4.0]), "X": np.ones((4, 1)), "groups": [], "weights": None}
    with pytest.raises(ValueError, match=message):
        fit_lmm(**{**good, **change})


def test_tiny_and_odd_anchor_sets_never_crash_and_say_what_they_are():
    rng = np.random.default_rng(22)
    for trial in range(150):
        n = int(rng.integers(8, 60))
        systems, prompts = int(rng.integers(1, 12)), int(rng.integers(1, n + 1))
        system, prompt = rng.integers(0, systems, n), rng.integers(0, prompts, n)
        X = np.column_stack([np.ones(n), rng.normal(size=(n, 2)), np.zeros(n)])
        y = [
            rng.normal(size=n),
            np.round(rng.uniform(0, 1.2, n)),
            rng.normal(size=prompts)[prompt],
            np.round(3 * rng.normal(size=systems)[system]) + rng.normal(size=n) * 1e-9,
            1e6 + rng.normal(size=n),
        ][trial % 5]
        groups = [
            RandomTerm(name="system", codes=system, levels=systems),
            RandomTerm(name="prompt", codes=prompt, levels=prompts),
        ]
        try:
            fit = fit_lmm(y=y, X=X, groups=groups)
        except NotIdentified:
            continue
        prediction = predict_lmm(fit, X=X, codes={"system": system, "prompt": np.full(n, -1)})
        assert np.isfinite(fit.deviance)
        assert np.isfinite(fit.beta).all()
        assert np.isfinite(prediction.mean).all()
        assert (prediction.variance >= 0).all()
        assert fit.identified or fit.reasons
        assert fit.converged or fit.reasons


def test_known_variances_are_recovered_without_bias():
    truth = {"item": 0.7, "system": 0.5, "residual": 0.8}
    seen = {k: [] for k in truth}
    slopes, inside = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, items, systems = 600, 120, 12
        item, system = np.arange(n) % items, rng.integers(0, systems, n)
        x = rng.normal(size=n)
        y = 1 + 0.4 * x + truth["item"] * rng.normal(size=items)[item]
        y = y + truth["system"] * rng.normal(size=systems)[system] + truth["residual"] * rng.normal(size=n)
        fit = fit_lmm(
            y=y,
            X=np.column_stack([np.ones(n), x]),
            groups=[RandomTerm(name="item", codes=item), RandomTerm(name="system", codes=system)],
        )
        seen["item"].append(fit.component("item").covariance[0, 0])
        seen["system"].append(fit.component("system").covariance[0, 0])
        seen["residual"].append(fit.sigma2)
        slopes.append(fit.beta[1])
        inside.append(abs(fit.beta[1] - 0.4) < 1.96 * fit.standard_errors[1])
    for name, sd in truth.items():
        values = np.array(seen[name])
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - sd**2) < 4 * error, name
    assert abs(np.mean(slopes) - 0.4) < 4 * np.std(slopes) / np.sqrt(60)
    assert np.mean(inside) > 0.85  # binomial(60, .95): below .85 has probability 3e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_general_sparse_factorisation_gives_what_the_arrowhead_gives(kind, weighted):
    world = judged(23)
    terms = world.terms(kind)
    w = world.weights if weighted else None
    fit = fit_lmm(y=world.y, X=world.X, groups=terms, weights=w)
    general = fit_lmm(y=world.y, X=world.X, groups=terms, weights=w, max_border=-1)
    assert general.engine.criterion.general
    assert general.converged
    assert general.identified == fit.identified
    # log det A is differentiated numerically there: the search ends 1e-6 beside the exact optimum.
    assert general.deviance == pytest.approx(fit.deviance, abs=1e-8)
    np.testing.assert_allclose(general.beta, fit.beta, rtol=1e-5)
    np.testing.assert_allclose(general.standard_errors, fit.standard_errors, rtol=1e-5)
    for one, two in zip(fit.components, general.components, strict=True):
        np.testing.assert_allclose(two.covariance, one.covariance, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(contrast(general, L=np.eye(2)).df, contrast(fit, L=np.eye(2)).df, rtol=1e-3)
    codes = {t.name: np.where(np.arange(len(t.codes)) % 7 == 0, -1, np.maximum(t.codes, -2)) for t in terms}
    columns = {t.name: t.columns for t in terms if t.columns is not None}
    one = predict_lmm(fit, X=world.X, codes=codes, columns=columns)
    two = predict_lmm(general, X=world.X, codes=codes, columns=columns)
    np.testing.assert_allclose(two.mean, one.mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(two.variance, one.variance, rtol=1e-4)
    for t in terms:
        a, b = conditional_modes(fit, t.name), conditional_modes(general, t.name)
        np.testing.assert_allclose(b.effect, a.effect, atol=1e-4)
        np.testing.assert_allclose(b.covariance, a.covariance, rtol=1e-4, atol=1e-6)


def test_random_slopes_by_item_and_two_large_factors_take_the_general_way():
    rng = np.random.default_rng(24)
    n, items, people = 3_000, 300, 250
    item, person, x = rng.integers(0, items, n), rng.integers(0, people, n), rng.normal(size=n)
    y = 0.3 * x + rng.normal(size=items)[item] + 0.5 * rng.normal(size=items)[item] * x
    y = y + 0.7 * rng.normal(size=people)[person] + rng.normal(size=n)
    groups = [RandomTerm(name="item", codes=item, columns=x), RandomTerm(name="person", codes=person)]
    fit = fit_lmm(y=y, X=np.column_stack([np.ones(n), x]), groups=groups, max_border=400)
    assert fit.engine.criterion.general
    assert fit.converged
    assert fit.component("item").sd == pytest.approx([1.0, 0.5], abs=0.15)
    assert fit.component("person").sd == pytest.approx([0.7], abs=0.15)
