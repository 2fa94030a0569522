import numpy as np
import pytest

from app.stats.panel_weights import weigh_panel


def panel(seed=0, n=600, systems=4, noise=(0.3, 1.5, 1.5), anchors=80, seated=1.0):
    rng = np.random.default_rng(seed)
    system, prompt = np.arange(n) % systems, np.arange(n) // systems
    quality = rng.normal(size=n) + 0.5 * system
    values = quality[:, None] + rng.normal(size=(n, len(noise))) * np.array(noise)
    values[rng.random(values.shape) > seated] = np.nan
    human = np.full(n, np.nan)
    chosen = rng.permutation(n)[:anchors]
    human[chosen] = quality[chosen] + 0.3 * rng.normal(size=anchors)
    given = np.isfinite(values)
    score = np.where(given.any(1), np.where(given, values, 0).sum(1) / np.maximum(given.sum(1), 1), np.nan)
    return {
        "score": score,
        "judge_values": values,
        "human": human,
        "group": system,
        "prompt": prompt,
    }, quality


def within(x, group):
    return x - (np.bincount(group, x) / np.bincount(group))[group]


def error(prediction, quality, group):
    return float((within(prediction, group) - within(quality, group)).var())


def test_one_good_judge_among_poor_ones_gets_the_weight():
    given, quality = panel()
    found = weigh_panel(**given)
    slope = np.polyfit(within(given["score"], given["group"]), within(quality, given["group"]), 1)[0]
    alone = error(slope * given["score"], quality, given["group"])
    assert np.isfinite(found.penalty)
    assert np.argmax(found.judge_slopes) == 0
    assert found.gain > 0.3
    assert error(found.prediction, quality, given["group"]) < 0.6 * alone


def test_a_panel_of_equals_is_left_nearly_as_it_is():
    gains = []
    for seed in range(20):
        given, quality = panel(seed, noise=(1.0, 1.0, 1.0), anchors=60)
        found = weigh_panel(**given)
        slope = np.polyfit(within(given["score"], given["group"]), within(quality, given["group"]), 1)[0]
        gains.append(
            error(found.prediction, quality, given["group"])
            / error(slope * given["score"], quality, given["group"])
        )
    assert np.mean(gains) < 1.1  # what 60 anchors cost to learn one slope, and that weights are not wanted


def test_a_prompts_own_grades_do_not_enter_its_prediction():
    given, _ = panel()
    found = weigh_panel(**given)
    changed = given["human"].copy()
    anchored = np.flatnonzero(np.isfinite(changed))
    prompt = given["prompt"][anchored[0]]
    own = given["prompt"] == prompt
    changed[own & np.isfinite(changed)] += 50.0
    other = weigh_panel(**given | {"human": changed})
    if other.penalty == found.penalty:
        assert other.prediction[own] == pytest.approx(found.prediction[own])
    assert other.prediction[~own] != pytest.approx(found.prediction[~own])


def test_few_anchors_leave_the_panels_score_alone():
    given, _ = panel(anchors=15)
    found = weigh_panel(**given)
    assert np.isinf(found.penalty)
    assert within(found.prediction, given["group"]) == pytest.approx(within(given["score"], given["group"]))


def test_missing_judges_count_as_what_the_panel_says():
    given, _ = panel(seated=0.5, n=1200, anchors=200)
    found = weigh_panel(**given)
    silent = np.isnan(given["judge_values"]).all(1)
    assert np.isnan(found.prediction[silent]).all()
    assert np.isfinite(found.prediction[~silent]).all()
    assert found.gain > 0.02


@pytest.mark.parametrize("values", [np.full((600, 3), 0.5), np.full((600, 3), np.nan), np.zeros((600, 0))])
def test_judges_that_say_nothing_of_their_own_change_nothing(values):
    given, _ = panel()
    found = weigh_panel(**given | {"judge_values": values})
    assert np.isinf(found.penalty)
    assert np.all(found.judge_slopes == 0)


def test_a_shift_of_a_systems_human_grades_does_not_matter():
    given, _ = panel()
    shifted = given["human"] + 3.0 * given["group"]
    assert weigh_panel(**given | {"human": shifted}).prediction == pytest.approx(
        weigh_panel(**given).prediction
    )
