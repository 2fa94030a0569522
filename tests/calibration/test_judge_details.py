"""What is told of a judge beside its biases, in worlds where the truth is planted."""

from dataclasses import replace

import numpy as np
import pytest

from app.calibration.design import build_design
from app.calibration.fit import fit_calibration
from app.calibration.held_out import HeldOutScores
from app.calibration.judge_bias import judge_bias
from app.calibration.judge_details import judge_details
from app.domain.judging import UnscoredReason
from app.domain.rubrics import RubricKind
from tests.calibration.planted import evidence, plant, plant_pairs


def told(world, **changes):
    design = build_design(replace(world.evidence, **changes))
    fit = fit_calibration(design, seed=1)
    bias = judge_bias(design)
    return design, fit, bias, judge_details(design, fit, bias)


@pytest.fixture(scope="module")
def answers():
    return told(plant(anchors=240, all_judges=True, prompts=80, length_bias=0.1))


def test_the_panel_without_anyone_left_out_is_the_calibrations_own_held_out_score(answers):
    design, fit, _, _ = answers
    held = HeldOutScores(design, fit).of(2)
    np.testing.assert_allclose(held.panel, fit.out_of_fold[held.unit], rtol=1e-10)
    np.testing.assert_array_equal(held.human, design.human_mean[held.unit])


def test_a_judge_that_sat_alone_is_the_panel_and_leaves_nobody():
    world = plant(anchors=200, prompts=50)
    alone = np.flatnonzero(world.evidence.v_judge == 0)[:10]
    units = world.evidence.v_unit[alone]
    keep = ~np.isin(world.evidence.v_unit, units) | (world.evidence.v_judge == 0)
    cut = {
        name: getattr(world.evidence, name)[keep]
        for name in (
            *("v_unit", "v_judge", "v_value", "v_expected", "v_place", "v_draw", "v_inclusion"),
            *("v_unscored", "v_rubric_version"),
        )
    }
    design = build_design(replace(world.evidence, **cut))
    held = HeldOutScores(design, fit_calibration(design, seed=1)).of(0)
    mine = np.isin(held.unit, units)
    assert mine.any()
    np.testing.assert_allclose(held.alone[mine], held.panel[mine])
    assert np.isnan(held.others[mine]).all()
    assert np.isfinite(held.others[~mine]).all()
    assert held.others_width[~mine].mean() > held.panel_width[~mine].mean()


def test_calibrated_scores_of_a_judge_alone_mean_what_they_say_though_its_verdicts_do_not(answers):
    _, _, _, details = answers
    calibrated, given = [], []
    for one in details:
        slope, gap = (one["reliability"]["calibrated"][key] for key in ("slope", "gap"))
        calibrated += [slope["interval"][0] <= 1 <= slope["interval"][1]]
        calibrated += [gap["interval"][0] <= 0 <= gap["interval"][1]]
        given += [one["reliability"]["as_given"]["slope"]["estimate"]]
    assert np.mean(calibrated) >= 0.75
    assert max(given) < 1  # every planted slope is, and the judges are noisy beside
    bins = details[0]["reliability"]["calibrated"]["bins"]
    assert sum(one["n"] for one in bins) == 240
    assert [one["score"] for one in bins] == sorted(one["score"] for one in bins)
    assert all(1 <= one["people"] <= 5 for one in bins)


def test_a_lower_is_better_scale_has_bins_on_that_scale_and_residuals_the_other_way_up():
    up = told(plant(anchors=240, all_judges=True))[3][0]
    down = told(plant(anchors=240, all_judges=True, higher_is_better=False))[3][0]
    a, b = (one["reliability"]["calibrated"]["bins"] for one in (up, down))
    np.testing.assert_allclose([one["people"] for one in a], [6 - one["people"] for one in b])
    assert up["residuals"][0]["estimate"] == pytest.approx(down["residuals"][0]["estimate"])


def test_a_good_judge_adds_to_the_panel_and_one_that_is_noise_does_not():
    world = plant(anchors=240, all_judges=True)
    noise = np.random.default_rng(9).uniform(1, 5, len(world.evidence.v_value))
    value = np.where(world.evidence.v_judge == 5, noise, world.evidence.v_value)
    _, _, _, details = told(world, v_value=value)
    good, useless = details[4]["adds"], details[5]["adds"]
    assert good["interval"][0] > 0
    assert useless["interval"][0] <= 0 <= useless["interval"][1]
    assert good["r2_with"] - good["r2_without"] == pytest.approx(good["estimate"])
    assert good["width_with"] < good["width_without"]


def test_residuals_are_told_by_system_and_stratum_and_what_was_planted_in_one_stands_out():
    world = plant(anchors=300, all_judges=True, prompts=80)
    e = world.evidence
    group = (e.prompt % 2).astype(np.int32)
    # People like what is in group 1 better than any judge can see.
    human = e.h_value + 0.8 * (group[e.h_unit] == 1)
    _, _, _, details = told(
        world, strata={"kind": group}, stratum_values={"kind": ("plain", "liked")}, h_value=human
    )
    rows = {(row["by"], row["name"]): row for row in details[0]["residuals"]}
    assert {by for by, _ in rows} == {"system", "kind"}
    assert rows["kind", "liked"]["interval"][0] > 0
    assert rows["kind", "plain"]["interval"][1] < 0
    assert rows["kind", "liked"]["flagged"] is True
    assert rows["kind", "liked"]["estimate"] - rows["kind", "plain"]["estimate"] == pytest.approx(
        0.8, abs=0.3
    )
    assert sum(row["n"] for (by, _), row in rows.items() if by == "kind") == 300


def test_without_anchors_a_judge_is_told_what_needs_none_and_why_the_rest_is_missing():
    world = plant(anchors=240, all_judges=True)
    empty = {"h_unit": np.zeros(0, np.int32), "h_value": np.zeros(0), "h_annotator": np.zeros(0, np.int32)}
    _, _, _, details = told(world, **empty, h_inclusion=np.zeros(0))
    one = details[0]
    assert one["residuals"] == []
    assert one["adds"]["status"] == "insufficient_data"
    assert "no answer has a human grade" in one["adds"]["why"]
    assert one["reliability"]["calibrated"]["bins"] == []


def test_the_first_example_of_severity_is_the_answer_it_marked_down_most(answers):
    design, _, bias, details = answers
    judge = next(k for k, one in enumerate(bias["judges"]) if one["effects"]["severity"]["estimate"] > 0)
    cells = (design.judge == judge) & (design.n_human[design.unit] > 0)
    unit, value = design.unit[cells], design.value[cells]
    most = unit[np.argmax(design.human_mean[unit] - value)]
    first, *rest = details[judge]["examples"]["severity"]
    assert first["answer_id"] == str(design.evidence.answer_id[most])
    assert first["people"] == pytest.approx(1 + 4 * design.human_mean[most])
    assert first["grades"] == 2
    gaps = [one["people"] - one["judge"] for one in (first, *rest)]
    assert gaps == sorted(gaps, reverse=True)


def test_examples_of_length_are_long_answers_that_got_more_than_people_gave(answers):
    design, _, _, details = answers
    typical = np.median(design.evidence.length)
    for one in details:
        examples = one["examples"]["length"]
        assert examples
        assert all(example["words"] > typical for example in examples)


def test_examples_of_position_are_pairs_whose_first_shown_won_in_both_orders():
    rng = np.random.default_rng(5)
    prompts = 120
    unit, place = np.repeat(np.arange(prompts), 2), np.tile([0, 1], prompts)
    truth = rng.normal(size=prompts)
    felt = truth[unit] + 0.8 * (1 - 2 * place) + 0.3 * rng.normal(size=len(unit))
    pairs = evidence(
        kind=RubricKind.PAIRWISE, prompt=np.arange(prompts), system=np.arange(prompts) % 3,
        other=3 + np.arange(prompts) % 2, length=np.full(prompts, 50.0), systems=5, unit=unit,
        judge=np.zeros(2 * prompts, int), value=np.sign(felt), place=place, h_unit=np.arange(prompts),
        h_value=np.sign(truth + 0.3 * rng.normal(size=prompts)), annotator=np.zeros(prompts, int),
    )  # fmt: skip
    design = build_design(pairs)
    bias = judge_bias(design)
    examples = judge_details(design, fit_calibration(design, seed=1), bias)[0]["examples"]
    assert bias["judges"][0]["effects"]["position"]["estimate"] > 0
    assert all((one["shown_first"], one["shown_last"]) == (1, 1) for one in examples["position"])
    assert len({one["answer_id"] for one in examples["position"]}) == 3
    for one in examples["order_flips"]:
        assert (
            one["shown_first"] * one["shown_last"] >= 0
        )  # whichever was first won twice, or was second twice


def test_examples_of_missing_verdicts_say_why():
    world = plant(anchors=240, all_judges=True)
    e = world.evidence
    lost = np.flatnonzero(e.v_judge == 1)[::7]
    value, reason = e.v_value.copy(), e.v_unscored.copy()
    value[lost], reason[lost] = np.nan, list(UnscoredReason).index(UnscoredReason.TIMEOUT)
    _, _, _, details = told(world, v_value=value, v_unscored=reason)
    assert [one["reason"] for one in details[1]["examples"]["unscored_rate"]] == ["timeout"] * 3
    assert "unscored_rate" not in details[0]["examples"]


def test_pairs_have_reliability_and_residuals_of_both_sides():
    _, _, _, details = told(plant_pairs())
    one = details[0]
    assert one["reliability"]["calibrated"]["gap"]["status"] == "not_identified"
    judged = sum(item["n"] for item in one["reliability"]["calibrated"]["bins"])
    assert sum(row["n"] for row in one["residuals"]) == 2 * judged
    assert {row["by"] for row in one["residuals"]} == {"system"}
    assert all(-1 <= item["score"] <= 1 for item in one["reliability"]["as_given"]["bins"])
