"""A stored calibration says of one grade what its arrays say, and says what it cannot."""

import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.calibration.bulk import apply_to_evidence
from app.calibration.calibrate import compute
from app.calibration.design import build_design
from app.calibration.fit import fit_calibration
from app.calibration.model import describe
from app.calibration.prepared import PreparedCalibration, Reading
from app.domain.calibration import ScoreStatus
from app.domain.judging import JudgeVersion
from tests.calibration.planted import JUDGES, Planted, plant, plant_pairs


def prepared(world: Planted) -> PreparedCalibration:
    design = build_design(world.evidence)
    model = describe(design, fit_calibration(design, seed=1))
    return PreparedCalibration(calibration_id="c_1", model=json.loads(json.dumps(model, allow_nan=False)))


@pytest.fixture(scope="module")
def world() -> Planted:
    return plant(length_bias=0.05)


@pytest.fixture(scope="module")
def ready(world: Planted) -> PreparedCalibration:
    return prepared(world)


def say(ready: PreparedCalibration, values: dict[int, float], **about: Any):
    readings = [Reading(JUDGES[j], value) for j, value in values.items()]
    return ready.score(readings, **{"system": "system-1", "words": 150, "rubric_version": 1} | about)


@pytest.mark.parametrize("make", [plant, lambda: plant(higher_is_better=False), plant_pairs])
def test_one_grade_at_a_time_says_what_the_arrays_say(make: Any) -> None:
    world = make()
    evidence, ready = world.evidence, prepared(world)
    bulk = apply_to_evidence(ready, evidence).prediction
    pair = evidence.kind == "pairwise"
    for unit in range(0, len(evidence.unit_id), 11):
        rows = np.flatnonzero(evidence.v_unit == unit)
        readings = [
            Reading(
                evidence.judges[evidence.v_judge[r]], float(evidence.v_value[r]), None,
                int(1 - 2 * evidence.v_place[r]) if pair else 0,
            )
            for r in rows
        ]  # fmt: skip
        found = ready.score(
            readings, system=evidence.systems[evidence.system[unit]],
            other_system=evidence.systems[evidence.other_system[unit]] if pair else None,
            words=evidence.length[unit], other_words=evidence.other_length[unit] if pair else None,
        )  # fmt: skip
        up = evidence.criterion.higher_is_better
        inner = found.score if pair else (found.score - 1) / 4 if up else (5 - found.score) / 4
        assert inner == pytest.approx(bulk.mean[unit], abs=1e-9)
        low, high = found.interval
        if pair and low > -1 + 1e-9 and high < 1 - 1e-9:
            width = 2 * ready._quantile * np.sqrt(bulk.latent_variance[unit])
            assert high - low == pytest.approx(width, rel=1e-9)
        assert (found.status is ScoreStatus.EXTRAPOLATING) == bulk.extrapolates[unit]


def test_stored_arrays_are_the_fits_own(world: Planted, ready: PreparedCalibration) -> None:
    fit = fit_calibration(build_design(world.evidence), seed=1)
    bulk = apply_to_evidence(ready, world.evidence)
    np.testing.assert_allclose(bulk.prediction.mean, fit.full.mean, atol=1e-12)
    np.testing.assert_allclose(bulk.prediction.grade_variance, fit.full.grade_variance, atol=1e-12)
    unseen = fit.fold == -1
    np.testing.assert_allclose(bulk.out_of_fold[unseen], fit.out_of_fold[unseen], atol=1e-12)


def test_fresh_evidence_with_other_codes_is_read_by_name(world: Planted, ready: PreparedCalibration) -> None:
    evidence = world.evidence
    order = np.array([3, 5, 0, 1, 2, 4])  # a judge's new code -> old code
    back = np.argsort(order)
    systems = np.arange(len(evidence.systems))[::-1]
    fresh = replace(
        evidence, judges=tuple(evidence.judges[j] for j in order),
        v_judge=back[evidence.v_judge].astype(np.int32),
        judge_version_ids=evidence.judge_version_ids[order], systems=evidence.systems[::-1],
        system=systems[evidence.system].astype(np.int32),
    )  # fmt: skip
    one, other = apply_to_evidence(ready, evidence), apply_to_evidence(ready, fresh)
    np.testing.assert_allclose(other.prediction.mean, one.prediction.mean, atol=1e-12)


def test_any_subset_of_judges_gives_a_score_and_fewer_a_wider_interval(ready: PreparedCalibration) -> None:
    widths = []
    for judges in ((0, 2, 4), (2, 4), (4,)):
        found = say(ready, dict.fromkeys(judges, 2.6))
        assert found.status is ScoreStatus.CALIBRATED
        assert found.interval[0] < found.score < found.interval[1]
        assert found.grade_interval[1] - found.grade_interval[0] > found.interval[1] - found.interval[0]
        widths.append(found.interval[1] - found.interval[0])
    assert widths == sorted(widths)


def test_no_verdict_gives_no_score(ready: PreparedCalibration) -> None:
    found = ready.score([], system="system-1")
    assert found.score is None
    assert found.interval is None
    assert found.warnings


def test_another_version_of_a_judge_rubric_or_prompt_is_stale(ready: PreparedCalibration) -> None:
    newer = replace(JUDGES[0], prompt_version="p2")
    found = ready.score([Reading(newer, 2.6), Reading(JUDGES[2], 2.6)], system="system-1", rubric_version=1)
    assert found.status is ScoreStatus.STALE
    assert "judge-0" in " ".join(found.warnings)
    assert say(ready, {0: 2.6}, rubric_version=2).status is ScoreStatus.STALE
    assert found.score is not None


def test_a_judge_never_seen_is_left_out_beside_known_ones(ready: PreparedCalibration) -> None:
    stranger = JudgeVersion("red", "stranger", "m", "{}", "p1")
    with_it = ready.score([Reading(JUDGES[2], 2.6), Reading(stranger, 5.0)], system="system-1", words=150)
    without = ready.score([Reading(JUDGES[2], 2.6)], system="system-1", words=150)
    assert with_it.score == without.score
    assert with_it.status is ScoreStatus.STALE
    assert "stranger" in " ".join(with_it.warnings)


def test_only_judges_never_seen_lean_on_their_family_with_a_wide_interval(ready: PreparedCalibration) -> None:
    stranger = JudgeVersion("green", "stranger", "m", "{}", "p1")
    found = ready.score([Reading(stranger, 2.6)], system="system-1", words=150)
    known = ready.score([Reading(JUDGES[4], 2.6)], system="system-1", words=150)
    assert found.status is ScoreStatus.STALE
    assert found.interval[1] - found.interval[0] > known.interval[1] - known.interval[0]


def test_a_system_never_seen_widens_the_interval_and_is_named(ready: PreparedCalibration) -> None:
    known, unseen = say(ready, {0: 2.6, 2: 2.6}), say(ready, {0: 2.6, 2: 2.6}, system="newcomer")
    assert unseen.interval[1] - unseen.interval[0] > known.interval[1] - known.interval[0]
    assert "newcomer" in " ".join(unseen.warnings)


def test_a_score_outside_the_anchored_range_says_so(ready: PreparedCalibration) -> None:
    assert say(ready, {1: 5.0, 3: 5.0, 4: 5.0}, system="system-5").status is ScoreStatus.EXTRAPOLATING


def test_real_judges_are_not_scored_by_a_calibration_of_simulated_ones(world: Planted) -> None:
    ready = prepared(replace(world, evidence=replace(world.evidence, simulated=True)))
    found = say(ready, {0: 2.6})
    assert found.score is None
    assert "simulated" in found.warnings[0]


def test_without_anchors_the_score_is_on_the_judges_own_scale(world: Planted) -> None:
    empty = np.zeros(0, np.int32)
    bare = replace(
        world.evidence, h_unit=empty, h_value=np.zeros(0), h_annotator=empty, h_inclusion=np.zeros(0)
    )
    done = compute(bare, seed=0)
    assert done.frame is None
    assert done.refusals[0].startswith("no_anchors")
    found = say(PreparedCalibration(calibration_id="c_2", model=done.model), {0: 2.6, 3: 3.0})
    assert found.status is ScoreStatus.JUDGE_RELATIVE
    assert found.score is not None
    assert found.interval is None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"prompts": 15, "anchors": 60}, "too_few_prompts: 15 prompts"),
        ({"systems": 1, "anchors": 40}, "too_few_systems: anchors of 1 system"),
    ],
)
def test_too_few_anchors_are_refused_with_what_there_is_and_what_it_takes(
    options: dict[str, int], reason: str
) -> None:
    done = compute(plant(**options).evidence, seed=0)
    assert done.frame is None
    assert any(refusal.startswith(reason) for refusal in done.refusals)
    found = say(PreparedCalibration(calibration_id="c_3", model=done.model), {0: 2.6, 3: 3.0})
    assert found.status is ScoreStatus.INSUFFICIENT_ANCHORS


def test_between_twenty_and_thirty_anchors_there_is_a_score_without_an_interval() -> None:
    done = compute(plant(anchors=26, prompts=200).evidence, seed=0)
    assert done.frame is not None
    assert done.refusals[0].startswith("item_interval: 26 anchors")
    found = say(PreparedCalibration(calibration_id="c_4", model=done.model), {0: 2.6, 3: 3.0})
    assert found.status is ScoreStatus.CALIBRATED
    assert found.interval is None


def test_a_pair_swapped_is_the_same_pair_with_the_other_sign() -> None:
    ready = prepared(plant_pairs())
    one = ready.score(
        [Reading(JUDGES[0], 1.0, None, 1), Reading(JUDGES[2], 0.0, None, -1)], system="system-0",
        other_system="system-3", words=100, other_words=100,
    )  # fmt: skip
    other = ready.score(
        [Reading(JUDGES[0], -1.0, None, -1), Reading(JUDGES[2], 0.0, None, 1)], system="system-3",
        other_system="system-0", words=100, other_words=100,
    )  # fmt: skip
    assert other.score == pytest.approx(-one.score, abs=1e-12)
    assert other.interval == pytest.approx((-one.interval[1], -one.interval[0]), abs=1e-12)
    assert 0 < one.tie_probability < 1


def test_a_warm_score_takes_well_under_a_millisecond(ready: PreparedCalibration) -> None:
    say(ready, {0: 2.6, 2: 3.0, 4: 2.0})
    times = []
    for _ in range(300):
        began = time.process_time()
        say(ready, {0: 2.6, 2: 3.0, 4: 2.0})
        times.append(time.process_time() - began)
    assert min(times) < 5e-4
