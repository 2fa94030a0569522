import numpy as np
import pytest

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.panel_gain import panel_gain


def world(rng, *, prompts=60, each=4, noise_with=0.3, noise_without=0.6):
    """Grades that two scores follow with known errors; errors share a part within prompts."""
    prompt = np.repeat(np.arange(prompts), each)
    truth = rng.normal(size=len(prompt))
    human = truth + 0.2 * rng.normal(size=len(prompt))

    def score(sd):
        shared = rng.normal(size=prompts)[prompt]
        return truth + sd * (np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=len(prompt)))

    about = {"human": human, "with_it": score(noise_with), "without_it": score(noise_without)}
    return about | {"prompt": prompt, "centred": True}


def test_the_gain_is_the_difference_of_two_r_squares_computed_directly():
    data = world(np.random.default_rng(1))
    found = panel_gain(**data)
    y, varies = data["human"], ((data["human"] - data["human"].mean()) ** 2).sum()
    r2 = [1 - ((y - data[key]) ** 2).sum() / varies for key in ("with_it", "without_it")]
    assert found.with_it == pytest.approx(r2[0])
    assert found.without_it == pytest.approx(r2[1])
    assert found.gain.estimate == pytest.approx(r2[0] - r2[1])
    assert found.gain.n == len(y)


def test_intervals_of_the_gain_hold_the_true_gain_as_often_as_they_say():
    rng = np.random.default_rng(2)
    true = (0.6**2 - 0.3**2) / (1 + 0.2**2)  # E[(Y-f_)^2 - (Y-f)^2] / Var Y
    held = [(e := panel_gain(**world(rng)).gain).low <= true <= e.high for _ in range(300)]
    assert np.mean(held) >= 0.91  # nominal .95; three standard errors of 300 trials are .038


def test_a_judge_that_adds_nothing_has_an_interval_around_zero_as_often_as_it_should():
    rng = np.random.default_rng(3)
    found = [panel_gain(**world(rng, noise_with=0.4, noise_without=0.4)).gain for _ in range(300)]
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.91


def test_a_pair_is_measured_from_no_preference():
    data = world(np.random.default_rng(4)) | {"centred": False}
    data["human"] = data["human"] + 5
    total = (data["human"] ** 2).sum()
    expected = 1 - ((data["human"] - data["with_it"]) ** 2).sum() / total
    assert panel_gain(**data).with_it == pytest.approx(expected)


def test_too_little_is_said_by_name():
    data = world(np.random.default_rng(5), prompts=5)
    with pytest.raises(InsufficientData, match="another judge"):
        panel_gain(**data)
    data = world(np.random.default_rng(6))
    data["human"] = np.ones_like(data["human"])
    with pytest.raises(NotIdentified, match="do not differ"):
        panel_gain(**data)
