"""What the planner promises of intervals, against the intervals that come."""

import numpy as np
import pytest

from app.stats.group_quality import group_quality
from app.stats.label_plan import grades_for_half_width, guessed_grades, planned_half_widths

SYSTEMS, PROMPTS = 6, 400


def quality_after(seed: int, graded_prompts: int):
    rng = np.random.default_rng(seed)
    system = np.repeat(np.arange(SYSTEMS), PROMPTS)
    prompt = np.tile(np.arange(PROMPTS), SYSTEMS)
    truth = 0.5 + 0.05 * system / SYSTEMS + 0.15 * rng.standard_normal(system.size)
    panel = truth + 0.1 * rng.standard_normal(system.size)
    human = np.clip(np.round(4 * (truth + 0.1 * rng.standard_normal(system.size))), 0, 4) / 4
    order = rng.random((SYSTEMS, PROMPTS)).argsort(axis=1)
    graded = np.zeros((SYSTEMS, PROMPTS), bool)
    np.put_along_axis(graded, order[:, :graded_prompts], True, axis=1)
    return group_quality(
        group=system, prompt=prompt, prediction=panel, groups=SYSTEMS, lam_max=np.inf,
        human=np.where(graded.ravel(), human, np.nan),
    )  # fmt: skip


def test_no_more_grades_change_nothing_and_each_more_makes_every_interval_narrower():
    quality = quality_after(1, 20)
    now = 0.5 * (quality.upper - quality.lower)
    assert planned_half_widths(quality, np.zeros(SYSTEMS)) == pytest.approx(now)
    before = now
    for more in (5.0, 20.0, 100.0):
        after = planned_half_widths(quality, np.full(SYSTEMS, more))
        assert (after < before).all()
        before = after


def test_realised_widths_are_within_a_tenth_of_the_promised():
    promised, came = [], []
    for seed in range(25):
        promised.append(planned_half_widths(quality_after(seed, 25), np.full(SYSTEMS, 55.0)).mean())
        later = quality_after(seed, 80)
        came.append(0.5 * (later.upper - later.lower).mean())
    assert np.mean(came) / np.mean(promised) == pytest.approx(1.0, abs=0.1)


def test_the_number_for_a_width_is_the_fewest_that_reach_it_or_none():
    quality = quality_after(2, 20)
    even = np.ones(SYSTEMS)
    now = float(0.5 * (quality.upper - quality.lower).mean())
    needed = grades_for_half_width(quality, even, 0.7 * now, 10_000)
    assert needed is not None
    assert planned_half_widths(quality, np.full(SYSTEMS, needed / SYSTEMS)).mean() <= 0.7 * now
    assert planned_half_widths(quality, np.full(SYSTEMS, (needed - 1) / SYSTEMS)).mean() > 0.7 * now
    assert grades_for_half_width(quality, even, 0.01 * now, 10_000) is None


def test_before_any_grade_the_plan_is_the_table_of_the_design():
    assert guessed_grades(target=0.05, correlation=0.0) == pytest.approx(120, abs=1)
    assert guessed_grades(target=0.03, correlation=0.6) == pytest.approx(214, abs=8)
