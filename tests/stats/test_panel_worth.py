import numpy as np
import pytest

from app.stats.panel_worth import LEAST_PROMPTS, Worth, panel_worth


def world(rng, *, r, prompts=60, systems=3, of_prompt=0.3):
    """Grades and predictions of every prompt by every system, correlated r within systems."""
    system = np.tile(np.arange(systems), prompts)
    prompt = np.repeat(np.arange(prompts), systems)
    shared = np.sqrt(of_prompt) * rng.normal(size=prompts)[prompt]
    x = shared + np.sqrt(1 - of_prompt) * rng.normal(size=prompt.size)
    y = r * x + np.sqrt(1 - r**2) * rng.normal(size=prompt.size)
    return {"group": system, "prompt": prompt, "prediction": x + system, "human": y - system}


def test_the_interval_of_the_correlation_holds_where_answers_share_a_prompt():
    rng = np.random.default_rng(1)
    found = [panel_worth(**world(rng, r=0.5, prompts=30)) for _ in range(300)]
    held = np.mean([low <= 0.5 <= high for low, high in (one.interval for one in found)])
    assert 0.92 <= held <= 0.98


def test_a_panel_that_follows_people_is_useful_and_says_what_it_saves():
    worth = panel_worth(**world(np.random.default_rng(2), r=0.8, prompts=200))
    assert worth.status is Worth.USEFUL
    assert worth.correlation == pytest.approx(0.8, abs=0.05)
    assert worth.width_ratio == pytest.approx(np.sqrt(1 - worth.correlation**2))
    assert worth.grades_saved == pytest.approx(worth.correlation**2)
    best, worst = worth.width_interval
    assert best < worth.width_ratio < worst < 1
    assert (worth.n, worth.prompts) == (600, 200)


def test_a_panel_of_noise_is_useless():
    rng = np.random.default_rng(3)
    found = [panel_worth(**world(rng, r=0.0, prompts=40)).status for _ in range(100)]
    assert found.count(Worth.USELESS) >= 95
    assert Worth.USEFUL not in found


def test_a_panel_that_says_the_opposite_of_people_saves_nothing():
    worth = panel_worth(**world(np.random.default_rng(4), r=-0.7))
    assert worth.status is Worth.USELESS
    assert worth.correlation < -0.5
    assert worth.width_ratio == 1.0


def test_differences_between_rows_do_not_pass_for_following_people():
    rng = np.random.default_rng(5)
    data = world(rng, r=0.0)
    data["prediction"] = data["prediction"] + 10 * data["group"]
    data["human"] = data["human"] + 10 * data["group"]
    assert abs(panel_worth(**data).correlation) < 0.25


def test_weights_stand_for_answers_that_were_drawn_less_often():
    rng = np.random.default_rng(6)
    data = world(rng, r=0.6, systems=1, prompts=400)
    noisy = data["prompt"] % 2 == 0
    data["prediction"] = np.where(noisy, rng.normal(size=400), data["prediction"])
    rarely = panel_worth(**data, inclusion=np.where(noisy, 1.0, 0.01))
    often = panel_worth(**data, inclusion=np.where(noisy, 0.01, 1.0))
    assert rarely.correlation > 0.45 > 0.3 > often.correlation


def test_too_few_prompts_or_grades_that_never_differ_tell_nothing():
    rng = np.random.default_rng(7)
    few = panel_worth(**world(rng, r=0.8, prompts=LEAST_PROMPTS - 1))
    assert (few.status, few.correlation) == (Worth.INSUFFICIENT_DATA, None)
    assert f"{LEAST_PROMPTS - 1} prompts" in few.why
    data = world(rng, r=0.8)
    same = panel_worth(**(data | {"human": np.full(180, 0.5)}))
    assert same.status is Worth.INSUFFICIENT_DATA
    assert "all the same" in same.why


def test_judges_that_always_say_the_same_are_useless():
    data = world(np.random.default_rng(8), r=0.8)
    worth = panel_worth(**(data | {"prediction": np.ones(180)}))
    assert (worth.status, worth.correlation) == (Worth.USELESS, None)
    assert "do not differ" in worth.why
