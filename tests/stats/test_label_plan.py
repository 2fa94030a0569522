"""What the planner promises of intervals, against the intervals that come."""

import numpy as np
import pytest

from app.stats.group_quality import Basis, group_quality
from app.stats.label_plan import grades_for, guessed_grades, planned_widths

SYSTEMS, PROMPTS = 6, 400


def quality_after(seed, graded_prompts, *, systems=SYSTEMS, without=None, few=None):
    """Of ``systems`` alike but for their means; ``without`` grades one, ``few``: another number of them."""
    rng = np.random.default_rng(seed)
    system = np.repeat(np.arange(systems), PROMPTS)
    prompt = np.tile(np.arange(PROMPTS), systems)
    truth = 0.5 + 0.05 * system / systems + 0.15 * rng.standard_normal(system.size)
    panel = truth + 0.1 * rng.standard_normal(system.size)
    human = np.clip(np.round(4 * (truth + 0.1 * rng.standard_normal(system.size))), 0, 4) / 4
    order = rng.random((systems, PROMPTS)).argsort(axis=1)
    graded = np.zeros((systems, PROMPTS), bool)
    for g in range(systems):
        count = 0 if g == without else (few or {}).get(g, graded_prompts)
        graded[g, order[g, :count]] = True
        if g in (few or {}):
            human[g * PROMPTS + order[g, :count]] = 0.5
    return group_quality(
        group=system, prompt=prompt, prediction=panel, groups=systems, lam_max=np.inf,
        human=np.where(graded.ravel(), human, np.nan),
    )  # fmt: skip


def planned(quality, *more, **options):
    return planned_widths(quality, np.array([np.full(SYSTEMS, float(one)) for one in more]), **options)


def test_no_more_grades_change_nothing_and_each_more_makes_every_interval_narrower():
    quality = quality_after(1, 20)
    plan = planned(quality, 0, 5, 20, 100)
    now = 0.5 * (quality.upper - quality.lower)
    assert plan.half[0] == pytest.approx(now, rel=1e-3)
    assert plan.mean == pytest.approx(plan.half.mean(1))
    assert (np.diff(plan.half, axis=0) < 0).all()
    assert ((plan.low < plan.half) & (plan.half < plan.high))[1:].all()


def test_realised_widths_are_within_a_tenth_of_the_promised_and_in_the_range_nine_times_in_ten():
    ratio, held = [], []
    for seed in range(40):
        plan = planned(quality_after(seed, 25), 55)
        later = quality_after(seed, 80)
        came = 0.5 * (later.upper - later.lower)
        ratio.append(came.mean() / plan.mean[0])
        held.append((plan.mean_low[0] <= came.mean()) & (came.mean() <= plan.mean_high[0]))
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.04)
    assert np.abs(np.array(ratio) - 1).max() < 0.25
    assert np.mean(held) >= 0.75  # 90% of 40: three standard errors below


def test_a_range_is_the_narrower_the_more_is_graded():
    reach = [
        (plan.mean_high[0] - plan.mean_low[0]) / plan.mean[0]
        for plan in (planned(quality_after(3, pilot), pilot) for pilot in (5, 20, 80))
    ]
    assert reach[0] > 1.5 * reach[1] > 2 * reach[2]


def test_a_group_without_anchors_is_planned_from_the_others_and_a_lone_one_from_when_it_stands_alone():
    quality = quality_after(4, 20, without=5)
    assert quality.basis[5] is Basis.OTHERS
    plan = planned(quality, 0, 3, 20)
    now = 0.5 * (quality.upper - quality.lower)
    assert plan.half[0, 5] == now[5]
    assert plan.half[2, 5] < plan.half[1, 5]
    later = quality_after(4, 20)
    assert plan.half[2, 5] == pytest.approx(0.5 * (later.upper[5] - later.lower[5]), rel=0.2)
    alone = quality_after(4, 12, systems=2)
    assert np.isnan(alone.lower).all()
    plan = planned_widths(alone, np.array([[4.0, 4.0], [8.0, 8.0], [40.0, 8.0]]))
    assert np.isnan(plan.half[0]).all()
    assert np.isfinite(plan.half[1:]).all()
    later = quality_after(4, 20, systems=2)
    assert plan.half[1] == pytest.approx(0.5 * (later.upper - later.lower), rel=0.35)


def test_a_hardly_graded_group_whose_grades_agree_is_not_taken_to_stay_so():
    """What it is charged for hardly any anchors ends as grades come."""
    quality = quality_after(5, 20, few={5: 3})
    plan = planned_widths(quality, np.array([[0.0] * 6, [0.0] * 5 + [40.0]]))
    other = planned_widths(quality, np.array([[0.0] * 6, [23.0] + [0.0] * 5]))
    assert plan.half[1, 5] == pytest.approx(other.half[1, 0], rel=0.15)


def test_each_alone_is_what_a_group_gets_when_only_it_gets_grades():
    quality = quality_after(6, 20)
    together = planned(quality, 30, each_alone=True)
    for g in range(SYSTEMS):
        only = np.zeros((1, SYSTEMS))
        only[0, g] = 30
        # all but what the others' grades lend: degrees of freedom
        assert together.half[0, g] == pytest.approx(planned_widths(quality, only).half[0, g], rel=0.02)


def test_the_number_for_a_width_is_the_fewest_that_reach_it_or_none():
    counts = np.array([0.0, 10, 100, 1_000])
    width = np.array([np.nan, 0.4, 0.2, 0.1])
    assert grades_for(width, counts, 0.4) == 10
    assert grades_for(width, counts, 0.2) == 100
    assert 20 < grades_for(width, counts, 0.3) < 60
    assert grades_for(width, counts, 0.09) is None
    assert grades_for(np.full(4, np.nan), counts, 0.3) is None
    assert grades_for(np.array([0.3, 0.2, 0.1, 0.05]), counts, 0.5) == 0


def test_before_any_grade_the_plan_is_the_table_of_the_design():
    assert guessed_grades(target=0.05, correlation=0.0) == pytest.approx(120, abs=1)
    assert guessed_grades(target=0.03, correlation=0.6) == pytest.approx(214, abs=8)
