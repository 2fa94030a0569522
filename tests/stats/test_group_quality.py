import numpy as np
import pytest
from scipy import stats

from app.stats.group_quality import Basis, group_quality
from tests.stats.panel_worlds import World, draw


def world(seed=0, **more):
    one = draw(World(**more), np.random.default_rng(seed))
    return {
        "group": one.group,
        "prompt": one.prompt,
        "prediction": 0.5 + 0.1 * one.score,
        "panel_score": one.score,
        "reliability": np.full(one.score.size, 0.5),
        "human": one.human,
        "groups": int(one.group.max()) + 1,
    }, one.truth


def studied(worlds, first_seed, **more):
    """Coverage, width and squared error by world and system; width and error of human grades alone by t."""
    covered, width, error, width_alone, error_alone = [], [], [], [], []
    for seed in range(first_seed, first_seed + worlds):
        units, truth = world(seed=seed, **more)
        result = group_quality(**units, lam_max=np.inf)
        covered.append((result.lower <= truth) & (truth <= result.upper))
        width.append(result.upper - result.lower)
        error.append((result.estimate - truth) ** 2)
        for g in range(truth.size):
            y = units["human"][(units["group"] == g) & ~np.isnan(units["human"])]
            width_alone.append(2 * stats.t.ppf(0.975, y.size - 1) * y.std(ddof=1) / np.sqrt(y.size))
            error_alone.append((y.mean() - truth[g]) ** 2)
    ratio = np.mean(width) / np.mean(width_alone), np.sqrt(np.mean(error) / np.mean(error_alone))
    return np.array(covered), *ratio


def test_intervals_hold_with_ten_anchors_per_system_and_an_outlier():
    covered, width, error = studied(250, 7_000, systems=6, prompts=120, anchors=10, outlier=0.6)
    # 1500 intervals that share worlds in sixes: standard error about 0.7%; 250 of the outlier: 1.4%
    assert 0.925 < covered.mean() < 0.975
    assert covered[:, 0].mean() > 0.91
    assert width < 0.85
    assert error < 0.85


def test_a_panel_of_noise_costs_nothing():
    _, width, error = studied(80, 3_000, systems=5, prompts=100, anchors=20, null_panel=True)
    assert width <= 1.05
    assert error <= 1.05


def test_one_system_with_twenty_anchors_stands_alone_and_with_nineteen_says_nothing():
    enough, _ = world(systems=1, anchors=20)
    few, _ = world(systems=1, anchors=19)
    assert group_quality(**enough).basis == (Basis.ALONE,)
    result = group_quality(**few)
    assert result.basis == (Basis.NONE,)
    assert np.isnan(result.estimate[0])
    assert np.isnan(result.lower[0])


def test_few_binary_grades_fall_back_to_wilson_on_the_labels():
    units, _ = world(systems=1, anchors=25, cuts=(-0.5,))
    result = group_quality(**units)
    y = units["human"][~np.isnan(units["human"])]
    theirs = stats.binomtest(int(y.sum()), y.size).proportion_ci(method="wilson")
    assert result.basis == (Basis.LABELS_ONLY,)
    assert (result.lower[0], result.upper[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-8)


def test_a_system_without_anchors_is_predicted_from_five_others_with_a_wider_interval():
    units, truth = world(seed=2, systems=7, anchors=20)
    units["human"] = np.where(units["group"] == 3, np.nan, units["human"])
    result = group_quality(**units)
    assert result.basis[3] is Basis.OTHERS
    width = result.upper - result.lower
    assert width[3] > np.delete(width, 3).max()
    assert result.lower[3] <= truth[3] <= result.upper[3]


def test_unanchored_systems_are_covered_where_systems_are_exchangeable():
    hits = []
    for seed in range(150):
        units, truth = world(seed=seed, systems=7, anchors=20, prompts=120)
        units["human"] = np.where(units["group"] == 3, np.nan, units["human"])
        result = group_quality(**units)
        hits.append(result.lower[3] <= truth[3] <= result.upper[3])
    assert np.mean(hits) > 0.9  # 150 draws at 95%: standard error 1.8%


def test_four_anchored_systems_are_too_few_to_speak_for_a_fifth():
    units, _ = world(seed=2, systems=5, anchors=20)
    units["human"] = np.where(units["group"] == 3, np.nan, units["human"])
    assert group_quality(**units).basis[3] is Basis.NONE


def test_without_any_anchor_there_is_no_number():
    units, _ = world()
    units["human"] = np.full_like(units["human"], np.nan)
    result = group_quality(**units)
    assert set(result.basis) == {Basis.NONE}
    assert np.isnan(result.estimate).all()


def test_estimates_lie_inside_their_intervals_and_intervals_on_the_scale():
    for seed in range(5):
        units, _ = world(seed=seed, anchors=10, cuts=(-2.4, -1.9, -1.5, -1.1))
        result = group_quality(**units)
        assert np.all(result.lower <= result.estimate)
        assert np.all(result.estimate <= result.upper)
        assert np.all(result.lower >= 0)
        assert np.all(result.upper <= 1)
        assert np.all(result.upper - result.lower > 0.01)


def test_differences_between_systems_are_not_compressed():
    slopes = []
    for seed in range(60):
        units, truth = world(seed=seed, systems=10, anchors=40, spread=0.6, system_bias=0.05)
        estimate = group_quality(**units).estimate
        slopes.append(np.polyfit(truth, estimate - truth, 1)[0])
    assert abs(np.mean(slopes)) < 0.05


@pytest.mark.parametrize(
    "degenerate",
    [
        {"prediction": np.nan},
        {"prediction": 0.5, "panel_score": 0.0},
        {"human_constant": 1.0},
        {"prompt_constant": True},
    ],
)
def test_degenerate_input_ends_in_a_wide_interval_or_a_refusal(degenerate):
    units, _ = world(anchors=12)
    n = units["group"].size
    for name in ("prediction", "panel_score"):
        if name in degenerate:
            units[name] = np.full(n, degenerate[name])
    if "human_constant" in degenerate:
        units["human"] = np.where(np.isnan(units["human"]), np.nan, 1.0)
    if "prompt_constant" in degenerate:
        units["prompt"] = np.zeros(n, int)
    with np.errstate(all="raise", under="ignore"):
        result = group_quality(**units)
    for g, basis in enumerate(result.basis):
        if basis is Basis.NONE:
            assert np.isnan(result.estimate[g])
        else:
            assert result.upper[g] - result.lower[g] > 0.01


def test_the_effective_sample_size_is_at_least_that_of_the_labels_with_a_good_panel():
    units, _ = world(seed=4, systems=6, anchors=20, panel_noise=0.3, system_bias=0.02)
    result = group_quality(**units)
    assert np.median(result.effective_sample_size) > 25


def stream_world(rng, *, prompts=60, systems=8, anchors=240):
    """Every system answers the same prompts; easy prompts lift all of them, and the panel sees it."""
    prompt, system = np.divmod(np.arange(prompts * systems), systems)
    truth = 0.5 + 0.06 * np.linspace(-1.5, 1.5, systems)
    quality = truth[system] + 0.08 * rng.standard_normal(prompts)[prompt]
    quality = quality + 0.1 * rng.standard_normal(prompt.size)
    score = quality + 0.1 * rng.standard_normal(prompt.size)
    human = np.full(prompt.size, np.nan)
    graded = rng.permutation(prompt.size)[:anchors]
    human[graded] = quality[graded] + 0.085 * rng.standard_normal(anchors)
    return prompt, system, truth, score, human


def test_intervals_hold_where_a_lucky_stream_of_prompts_lifts_estimate_and_prior_alike():
    rng = np.random.default_rng(31)
    covered = []
    for _ in range(200):
        prompt, system, truth, score, human = stream_world(rng)
        got = group_quality(
            group=system, prompt=prompt, prediction=score, human=human, groups=8,
            panel_score=score, reliability=np.full(score.size, 0.62), lam_max=np.inf,
        )  # fmt: skip
        covered.append((got.lower <= truth) & (truth <= got.upper))
    # nominal .95; systems of a world err together, so 200 worlds leave an error of about one point.
    # Without the covariance of a group's estimate with its own prior these worlds give .92.
    assert np.mean(covered) >= 0.94
