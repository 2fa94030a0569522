"""What a calibration learns from evidence whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from app.calibration.calibrate import compute
from app.calibration.design import build_design
from app.calibration.fit import Fit, fit_calibration
from app.calibration.frame import Frame
from tests.calibration.planted import Planted, plant, plant_pairs


def fitted(world: Planted, seed: int = 1) -> Fit:
    return fit_calibration(build_design(world.evidence), seed=seed)


def test_calibrated_scores_are_closer_to_the_truth_than_the_raw_panel() -> None:
    world = plant()
    design, fit = build_design(world.evidence), fitted(world)
    calibrated = np.sqrt(np.mean((fit.full.mean - world.truth) ** 2))
    raw = np.sqrt(np.mean((design.raw_mean - world.truth) ** 2))
    assert calibrated < 0.5 * raw


def test_out_of_fold_values_know_nothing_of_their_own_prompts_grades() -> None:
    world = plant(prompts=30, anchors=90)
    evidence = world.evidence
    before = fitted(world)
    prompt = evidence.prompt[evidence.h_unit[0]]
    moved = np.where(evidence.prompt[evidence.h_unit] == prompt, 5.0, evidence.h_value)
    after = fitted(replace(world, evidence=replace(evidence, h_value=moved)))
    own = evidence.prompt == prompt
    fold = before.fold[own][0]
    np.testing.assert_allclose(after.out_of_fold[own], before.out_of_fold[own], atol=5e-4)
    others = (before.fold != fold) & (before.fold >= 0)
    assert np.abs(after.out_of_fold[others] - before.out_of_fold[others]).max() > 1e-3


def test_folds_hold_whole_prompts_in_equal_parts() -> None:
    world = plant(prompts=60, anchors=300)
    fold, prompt = fitted(world).fold, world.evidence.prompt
    for code in np.unique(prompt):
        assert len(np.unique(fold[prompt == code])) == 1
    sizes = np.bincount([fold[prompt == code][0] for code in np.unique(prompt)])
    assert sizes.max() - sizes.min() <= 1


def test_few_prompts_are_left_out_one_by_one() -> None:
    world = plant(prompts=22, anchors=80)
    assert len(fitted(world).fold_items) == 22


def test_prompts_without_grades_get_the_mean_of_the_fold_fits() -> None:
    world = plant(prompts=100, anchors=40)
    fit = fitted(world)
    unseen = fit.fold == -1
    assert unseen.any()
    assert np.abs(fit.out_of_fold - fit.full.mean)[unseen].max() < 0.05


def test_new_grades_fall_into_their_interval_as_promised() -> None:
    hits = []
    for seed in range(6):
        world = plant(prompts=80, systems=5, anchors=80, seed=seed)
        fit = fitted(world)
        rng = np.random.default_rng(seed + 100)
        fresh = world.truth + 0.12 * rng.standard_normal(len(world.truth))
        hits.append(
            np.mean(np.abs(fresh - fit.full.mean) <= fit.conformal * np.sqrt(fit.full.grade_variance))
        )
    assert np.mean(hits) == pytest.approx(0.95, abs=0.03)


def test_pairs_are_calibrated_beyond_the_position_effect() -> None:
    world = plant_pairs(prompts=600, anchors=300, position=0.4)
    design, fit = build_design(world.evidence), fitted(world)
    chance = np.sign(world.truth)
    decided = np.abs(world.truth) > 0.2
    right = np.mean(np.sign(fit.full.mean)[decided] == chance[decided])
    raw = np.mean(np.sign(design.raw_mean)[decided] == chance[decided])
    assert right > raw
    assert fit.tie_width is not None
    assert fit.tie_width > 0


def test_everything_is_stored_as_json_and_the_frame_comes_back() -> None:
    world = plant()
    done = compute(world.evidence, seed=3)
    assert json.loads(json.dumps(done.model, allow_nan=False))["seed"] == 3
    assert json.loads(json.dumps(done.snapshot))["counts"]["graded_units"] == 120
    frame = Frame.from_bytes(done.frame)
    np.testing.assert_allclose(frame.out_of_fold, fitted(world, 3).out_of_fold, rtol=1e-6)
    assert frame.labelled.sum() == 120
    assert np.isfinite(frame.judge_matrix()).sum() == len(world.evidence.v_unit)


def test_no_verdicts_at_all_are_a_refusal_not_an_error() -> None:
    world = plant().evidence
    nothing = {
        name: getattr(world, name)[:0]
        for name in ("v_unit", "v_judge", "v_value", "v_expected", "v_place", "v_draw", "v_inclusion",
                     "v_unscored", "v_rubric_version")
    }  # fmt: skip
    done = compute(replace(world, **nothing), seed=0)
    assert done.refusals[0].startswith("no_verdicts")
    assert done.frame is None


def test_equal_grades_teach_nothing_and_this_is_said() -> None:
    world = plant().evidence
    done = compute(replace(world, h_value=np.full(len(world.h_value), 3.0)), seed=0)
    assert done.refusals[0].startswith("no_variation")


def test_one_judge_alone_can_be_calibrated_with_a_warning() -> None:
    world = plant(all_judges=True)
    evidence = world.evidence
    own = evidence.v_judge == 4
    alone = {
        name: getattr(evidence, name)[own]
        for name in ("v_unit", "v_judge", "v_value", "v_expected", "v_place", "v_draw", "v_inclusion",
                     "v_unscored", "v_rubric_version")
    }  # fmt: skip
    done = compute(replace(evidence, **alone), seed=0)
    assert done.frame is not None
    assert any("assumed" in sentence for sentence in done.model["warnings"])
    found = done.model["diagnostics"]
    assert found["held_out_rmse_native"] < found["constant_rmse_native"]


def test_judges_who_only_make_noise_are_warned_of() -> None:
    world = plant(anchors=200)
    rng = np.random.default_rng(0)
    noise = replace(world.evidence, v_value=rng.uniform(1, 5, len(world.evidence.v_value)))
    done = compute(noise, seed=0)
    found = done.model["diagnostics"]
    assert found["held_out_rmse_native"] < 1.1 * found["constant_rmse_native"]
    assert any("do not follow the humans" in s or "hardly agree" in s for s in done.model["warnings"])
