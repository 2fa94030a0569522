"""Evidence becomes oriented scores per unit and judge."""

from dataclasses import replace

import numpy as np
import pytest

from app.calibration.design import build_design
from tests.calibration.planted import plant, plant_pairs


def test_repeated_draws_become_one_cell_with_their_spread() -> None:
    world = plant(prompts=10, systems=2, anchors=5).evidence
    twice = {
        name: np.tile(getattr(world, name), 2)
        for name in ("v_unit", "v_judge", "v_expected", "v_place", "v_draw", "v_inclusion", "v_unscored",
                     "v_rubric_version")
    }  # fmt: skip
    design = build_design(replace(world, v_value=np.r_[world.v_value, world.v_value + 0.4], **twice))
    assert (design.draws == 2).all()
    np.testing.assert_allclose(design.within, 2 * 0.05**2)  # 0.4 on a scale of 4 points is 0.1, half each way
    once = build_design(world)
    np.testing.assert_allclose(design.value, once.value + 0.05)


def test_lower_is_better_is_turned_round() -> None:
    up = build_design(plant(anchors=50).evidence)
    down = build_design(plant(anchors=50, higher_is_better=False).evidence)
    np.testing.assert_allclose(down.value, up.value)
    np.testing.assert_allclose(down.human_mean, up.human_mean)


def test_unscored_verdicts_and_other_wordings_are_counted_not_used() -> None:
    world = plant(prompts=30, systems=3, anchors=60).evidence
    unscored, versions = world.v_unscored.copy(), world.v_rubric_version.copy()
    unscored[:4] = 2
    versions[10:] = 2
    design = build_design(
        replace(world, v_unscored=unscored, v_rubric_version=versions, rubric_versions=(1, 2))
    )
    assert design.rubric_version == 2
    assert design.left_out == {"unscored": 4, "other_rubric_version": 6}


def test_a_judge_is_missing_where_none_of_its_draws_under_the_wording_was_scored() -> None:
    world = plant(prompts=30, systems=3, anchors=60).evidence
    m = len(world.v_unit)
    unscored, value = np.tile(world.v_unscored, 2), np.tile(world.v_value, 2)
    unscored[[0, 1, 2, m + 1]], value[[0, 1, 2, m + 1]] = (
        2,
        np.nan,
    )  # asked again: only the second still failed
    twice = {
        name: np.tile(getattr(world, name), 2)
        for name in (
            "v_unit",
            "v_judge",
            "v_expected",
            "v_place",
            "v_draw",
            "v_inclusion",
            "v_rubric_version",
        )
    }
    design = build_design(replace(world, v_value=value, v_unscored=unscored, **twice))
    assert design.missing_unit.tolist() == [world.v_unit[1]]
    assert design.missing_judge.tolist() == [world.v_judge[1]]
    assert not ((design.unit == world.v_unit[1]) & (design.judge == world.v_judge[1])).any()
    versions = np.full(2 * m, 1)
    versions[m + 1] = versions[1] = 2  # failures under another wording are none of this calibration's
    twice["v_rubric_version"] = versions
    other = build_design(
        replace(world, v_value=value, v_unscored=unscored, rubric_versions=(1, 2), **twice), rubric_version=1
    )
    assert other.missing_unit.size == 0


def test_an_older_wording_is_calibrated_while_few_anchors_are_judged_under_the_newest() -> None:
    world = plant(prompts=30, systems=3, anchors=60).evidence
    versions = world.v_rubric_version.copy()
    versions[-9:] = 2  # three units
    assert build_design(replace(world, v_rubric_version=versions, rubric_versions=(1, 2))).rubric_version == 1


def test_expectations_are_used_only_for_judges_who_always_give_them() -> None:
    world = plant(prompts=10, systems=2, anchors=5).evidence
    expected = np.where(world.v_judge == 0, world.v_value + 0.2, np.nan)
    expected[np.flatnonzero(world.v_judge == 2)[0]] = 3.0
    design = build_design(replace(world, v_expected=expected))
    assert design.uses_expected.tolist() == [True, False, False, False, False, False]
    plain = build_design(world)
    np.testing.assert_allclose(design.value - plain.value, np.where(design.judge == 0, 0.05, 0.0), atol=1e-12)


def test_position_is_found_and_taken_out_of_pairs() -> None:
    design = build_design(plant_pairs(prompts=1500, position=0.3).evidence)
    effects = np.array([p.effect for p in design.positions])
    assert (effects > 0.1).all()
    signed = 1 - 2 * design.evidence.v_place.astype(float)
    order = np.lexsort((design.evidence.v_judge, design.evidence.v_unit))
    left = [np.cov(design.value, signed[order])[0, 1]]
    assert abs(left[0]) < 0.03


def test_a_pair_judged_in_both_orders_has_no_position_left_whatever_the_estimate() -> None:
    world = plant_pairs(prompts=100, anchors=50).evidence
    both = {
        name: np.tile(getattr(world, name), 2)
        for name in ("v_unit", "v_judge", "v_expected", "v_draw", "v_inclusion", "v_unscored",
                     "v_rubric_version")
    }  # fmt: skip
    value, place = np.r_[world.v_value, world.v_value], np.r_[world.v_place, 1 - world.v_place]
    swapped = replace(world, v_value=value, v_place=place.astype(np.int8), **both)
    design = build_design(swapped)
    np.testing.assert_allclose(design.raw_mean, build_design(world).raw_mean)
    plain = build_design(swapped, position=np.zeros(6))
    np.testing.assert_allclose(design.value, plain.value, atol=1e-12)


def test_people_are_averaged_and_their_noise_is_measured() -> None:
    design = build_design(plant(anchors=150).evidence)
    assert design.annotator_freedom == 150
    assert design.annotator_variance == pytest.approx(0.12**2, rel=0.35)  # 3 standard errors of 150
    assert (design.n_human[design.n_human > 0] == 2).all()


def test_single_grades_leave_the_annotators_noise_unknown() -> None:
    assert np.isnan(build_design(plant(annotators=1).evidence).annotator_variance)
