from dataclasses import replace

import numpy as np
import pytest

from app.calibration.design import build_design
from app.calibration.judge_bias import judge_bias
from app.domain.judging import UnscoredReason
from tests.calibration.planted import SEVERITY, SLOPE, plant, plant_pairs


def told(report, judge, name):
    return report["judges"][judge]["effects"][name]


def test_planted_severity_is_told_in_points_of_the_scale():
    planted = plant(anchors=240, all_judges=True)
    report = judge_bias(build_design(planted.evidence))
    gap = np.array([1 + 4 * t for t in planted.truth])
    for judge in range(6):
        effect = told(report, judge, "severity")
        score = 1 + 4 * (0.3 + SEVERITY[judge] + SLOPE[judge] * (planted.truth - 0.5))
        assert effect["status"] == "identified"
        assert effect["unit"] == "points"
        assert effect["estimate"] == pytest.approx(float(np.mean(gap - score)), abs=0.15)
        assert effect["interval"][0] < effect["estimate"] < effect["interval"][1]
        assert effect["n"] == 240


def test_planted_slopes_are_covered_by_their_intervals():
    covered = []
    for seed in range(6):
        planted = plant(anchors=300, all_judges=True, seed=seed)
        report = judge_bias(build_design(planted.evidence))
        for judge in range(6):
            effect = told(report, judge, "discrimination")
            covered.append(effect["interval"][0] <= SLOPE[judge] <= effect["interval"][1])
    assert np.mean(covered) >= 0.85  # 36 intervals, six a world that share its people; nominal .95


def test_a_lower_is_better_scale_keeps_severity_the_direction_of_harshness():
    up = judge_bias(build_design(plant(anchors=240, all_judges=True).evidence))
    down = judge_bias(build_design(plant(anchors=240, all_judges=True, higher_is_better=False).evidence))
    assert told(up, 0, "severity")["estimate"] == pytest.approx(told(down, 0, "severity")["estimate"])


def test_a_planted_taste_for_length_is_told_per_doubling():
    planted = plant(anchors=300, all_judges=True, length_bias=0.1, prompts=80)
    effect = told(judge_bias(build_design(planted.evidence)), 1, "length")
    per_doubling = 0.1 * np.log(2) * 4
    assert effect["interval"][0] <= per_doubling <= effect["interval"][1]
    assert effect["estimate"] == pytest.approx(per_doubling, rel=0.3)


def test_answers_shown_alone_have_no_position():
    report = judge_bias(build_design(plant().evidence))
    assert told(report, 0, "position")["status"] == "not_identified"
    assert told(report, 0, "position")["estimate"] is None


def test_a_planted_position_effect_of_pairs_is_found_in_every_judge():
    planted = plant_pairs(prompts=600, anchors=200, position=0.3)
    report = judge_bias(build_design(planted.evidence))
    for judge in range(6):
        effect = told(report, judge, "position")
        assert effect["interval"][0] > 0
        assert effect["unit"] == "probability"
    assert told(report, 0, "severity")["status"] == "not_identified"


def test_without_people_only_what_needs_none_is_told():
    evidence = plant_pairs(prompts=600, position=0.3).evidence
    nobody = replace(
        evidence,
        h_unit=evidence.h_unit[:0],
        h_value=evidence.h_value[:0],
        h_annotator=evidence.h_annotator[:0],
        h_inclusion=evidence.h_inclusion[:0],
    )
    report = judge_bias(build_design(nobody))
    assert told(report, 0, "position")["status"] == "identified"
    assert told(report, 0, "unscored_rate")["status"] == "identified"
    assert told(report, 0, "agreement")["status"] == "insufficient_data"
    assert told(report, 0, "discrimination")["status"] != "identified"
    assert report["people"]["double_graded"] == 0


def test_own_family_is_found_where_planted_and_silent_elsewhere():
    planted = plant(prompts=100, systems=8, anchors=600, all_judges=True)
    families = ("red", "red", "red", "red", "blue", "blue", "grey", "grey")
    evidence = replace(planted.evidence, system_families=families)
    of_red = np.isin(evidence.system[evidence.v_unit], [0, 1, 2, 3]) & (evidence.v_judge == 0)
    evidence = replace(evidence, v_value=np.where(of_red, evidence.v_value + 0.8, evidence.v_value))
    report = judge_bias(build_design(evidence))
    favoured = told(report, 0, "own_family")
    assert favoured["interval"][0] <= 0.8 <= favoured["interval"][1]
    assert favoured["interval"][0] > 0
    assert told(report, 1, "own_family")["interval"][0] <= 0 <= told(report, 1, "own_family")["interval"][1]


def test_missing_verdicts_are_counted_by_reason():
    evidence = plant(all_judges=True).evidence
    missing = np.flatnonzero(evidence.v_judge == 2)[:36]
    unscored = evidence.v_unscored.copy()
    unscored[missing] = list(UnscoredReason).index(UnscoredReason.TIMEOUT)
    value = np.where(unscored >= 0, np.nan, evidence.v_value)
    report = judge_bias(build_design(replace(evidence, v_unscored=unscored, v_value=value)))
    assert report["judges"][2]["unscored"] == {"timeout": 36}
    assert told(report, 2, "unscored_rate")["estimate"] == pytest.approx(0.1)
    assert told(report, 1, "unscored_rate")["estimate"] == 0


def test_a_group_that_a_judge_favours_is_named():
    planted = plant(anchors=300, all_judges=True)
    evidence = planted.evidence
    language = (evidence.prompt % 2).astype(np.int32)
    extra = (language[evidence.v_unit] == 1) & (evidence.v_judge == 3)
    evidence = replace(
        evidence,
        strata={"language": language},
        stratum_values={"language": ("de", "en")},
        v_value=np.where(extra, evidence.v_value + 0.6, evidence.v_value),
    )
    groups = {g["name"]: g for g in judge_bias(build_design(evidence))["judges"][3]["strata"]["language"]}
    assert groups["en"]["interval"][0] > 0 > groups["de"]["interval"][1]


def test_the_report_is_json_ready_and_names_its_judges():
    import json

    report = judge_bias(build_design(plant().evidence))
    again = json.loads(json.dumps(report, allow_nan=False))
    assert again["judges"][0]["name"] == "judge-0"
    assert again["judges"][0]["judge_version"] == plant().evidence.judges[0].digest()
