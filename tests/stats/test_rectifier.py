import numpy as np
import pytest

from app.stats.errors import InsufficientData
from app.stats.rectifier import rectified_means


def some_units(seed=1, groups=3, prompts=40, anchors=15):
    rng = np.random.default_rng(seed)
    group, prompt = np.repeat(np.arange(groups), prompts), np.tile(np.arange(prompts), groups)
    quality = rng.normal(size=group.size) + 0.3 * group + 0.5 * rng.normal(size=prompts)[prompt]
    f = 0.5 * quality + 0.5 * rng.normal(size=group.size)
    y = np.full(group.size, np.nan)
    for g in range(groups):
        chosen = np.flatnonzero(group == g)[rng.permutation(prompts)[:anchors]]
        y[chosen] = quality[chosen] + 0.3 * rng.normal(size=anchors)
    return {"group": group, "prompt": prompt, "prediction": f, "human": y, "groups": groups}


def test_a_constant_prediction_leaves_the_plain_mean_and_its_variance():
    units = some_units() | {"prediction": np.full(120, 0.7)}
    means = rectified_means(**units)
    for g in range(3):
        y = units["human"][(units["group"] == g) & ~np.isnan(units["human"])]
        assert means.estimate[g] == pytest.approx(y.mean())
        assert means.variance[g] == pytest.approx(y.var(ddof=1) / y.size)
        assert means.degrees_of_freedom[g] == pytest.approx(y.size - 1)
        assert means.human_variance[g] == pytest.approx(y.var(ddof=1))
    assert means.power.lam == 0


def test_at_a_fixed_lambda_and_no_clusters_it_is_ppi_plus_plus():
    units = some_units(groups=1) | {"prompt": np.arange(40)}
    n, lam = 15, 0.6
    means = rectified_means(**units, lam=lam)
    labelled = ~np.isnan(units["human"])
    y, f, u = units["human"][labelled], units["prediction"][labelled], units["prediction"][~labelled]
    # PPI++ leaves the anchors out of the traffic mean: its lambda is ours times N / (n + N)
    theirs = lam * u.size / (n + u.size)
    assert means.estimate[0] == pytest.approx(theirs * u.mean() + (y - theirs * f).mean())


def test_the_variance_is_the_delete_one_prompt_jackknife_of_the_anchors():
    units = some_units(groups=1, anchors=12)
    units["prompt"] = units["prompt"] // 2  # two answers to each prompt
    lam = 0.8
    means = rectified_means(**units, lam=lam)
    f_mean = units["prediction"].mean()
    labelled = ~np.isnan(units["human"])
    x = units["human"] - lam * (units["prediction"] - f_mean)
    clusters = np.unique(units["prompt"][labelled])
    without = np.array([x[labelled & (units["prompt"] != p)].mean() for p in clusters])
    whole = x[labelled].mean()
    jackknife = (1 - 1 / clusters.size) * ((without - whole) ** 2).sum()
    df = means.degrees_of_freedom[0]
    spent = (df + 1) / df  # a fixed slope still pays for itself: at most one degree of freedom
    assert means.estimate[0] == pytest.approx(whole)
    assert means.anchor_variance[0] == pytest.approx(jackknife * spent)


def test_a_prompt_that_is_both_graded_and_traffic_counts_once():
    units = some_units(groups=1)
    means = rectified_means(**units, lam=1.0)
    f = units["prediction"]
    traffic = (f - f.mean()) / f.size
    psi = np.zeros(40)
    psi[means.pair_prompt] = means.pair_influence
    n = 40
    expected = (traffic**2).sum() * n / (n - 1) + 2 * (psi * traffic).sum()
    assert means.traffic_variance[0] == pytest.approx(expected)


def test_equal_inclusion_probabilities_change_nothing_and_scale_does_not_matter():
    units = some_units()
    plain = rectified_means(**units)
    weighted = rectified_means(**units, inclusion=np.full(120, 0.2))
    assert weighted.estimate == pytest.approx(plain.estimate)
    assert weighted.variance == pytest.approx(plain.variance)


def test_inclusion_probabilities_undo_a_biased_draw():
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(300):
        f = rng.normal(size=400)
        y = f**2 + rng.normal(size=400)  # a line in f cannot undo the bias, the weights can
        chance = np.clip(0.1 * np.exp(0.6 * f), 0.02, 0.9)
        seen = rng.random(400) < chance
        means = rectified_means(
            group=np.zeros(400, int),
            prompt=np.arange(400),
            prediction=f,
            human=np.where(seen, y, np.nan),
            groups=1,
            inclusion=chance,
        )
        errors.append(means.estimate[0] - y.mean())
    # four standard errors of the mean over 300 draws; unweighted, the bias is about 0.36 + 0.6^2 ...
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(300)


def test_shifting_and_stretching_the_prediction_changes_nothing():
    units = some_units()
    plain = rectified_means(**units, lam_max=np.inf)
    other = rectified_means(**units | {"prediction": 5 + 0.1 * units["prediction"]}, lam_max=np.inf)
    assert other.estimate == pytest.approx(plain.estimate)
    assert other.variance == pytest.approx(plain.variance)


def test_neither_the_order_of_units_nor_the_names_of_prompts_matter():
    units = some_units()
    order = np.random.default_rng(0).permutation(120)
    shuffled = {k: v[order] if isinstance(v, np.ndarray) else v for k, v in units.items()}
    shuffled["prompt"] = 1000 - 7 * shuffled["prompt"]
    assert rectified_means(**shuffled).estimate == pytest.approx(rectified_means(**units).estimate)
    assert rectified_means(**shuffled).variance == pytest.approx(rectified_means(**units).variance)


def test_a_panel_of_noise_is_left_aside():
    lams = []
    for seed in range(60):
        units = some_units(seed)
        units["prediction"] = np.random.default_rng(900 + seed).normal(size=120)
        lams.append(rectified_means(**units).power.lam)
    assert np.median(lams) == 0


def test_when_all_units_are_graded_nothing_is_left_uncertain_about_these_units():
    units = some_units(anchors=40)
    means = rectified_means(**units, population="these_units", lam=0.5)
    assert means.variance == pytest.approx(np.zeros(3))


def test_a_group_without_anchors_has_no_estimate_and_one_without_units_no_prediction():
    units = some_units()
    units["human"] = np.where(units["group"] == 1, np.nan, units["human"])
    means = rectified_means(**units | {"groups": 4})
    assert np.isnan(means.estimate[[1, 3]]).all()
    assert np.isfinite(means.prediction_mean[1])
    assert np.isnan(means.prediction_mean[3])
    assert np.isfinite(means.variance[[0, 2]]).all()


def test_one_anchor_gives_an_estimate_but_no_variance():
    units = some_units(anchors=1)
    means = rectified_means(**units)
    assert np.isfinite(means.estimate).all()
    assert np.isnan(means.anchor_variance).all()


def test_a_unit_that_no_judge_scored_counts_as_its_groups_mean():
    units = some_units()
    units["prediction"][5] = np.nan
    filled = units["prediction"].copy()
    filled[5] = np.nanmean(units["prediction"][:40])
    assert rectified_means(**units).estimate == pytest.approx(
        rectified_means(**units | {"prediction": filled}).estimate
    )


def test_no_units_at_all_is_insufficient_data():
    none = np.zeros(0, int)
    with pytest.raises(InsufficientData):
        rectified_means(group=none, prompt=none, prediction=np.zeros(0), human=np.zeros(0), groups=1)
