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


def test_a_severe_person_does_not_make_judges_look_sharper():
    """A severity among people who share answers is no noise: taken for one, slopes come out larger."""
    evidence = plant(anchors=300, all_judges=True).evidence
    severe = np.where(evidence.h_annotator == 1, evidence.h_value - 1.0, evidence.h_value)
    before, after = (judge_bias(build_design(one)) for one in (evidence, replace(evidence, h_value=severe)))
    for judge in range(6):
        for name in ("discrimination", "length"):
            assert told(after, judge, name)["interval"] == pytest.approx(
                told(before, judge, name)["interval"]
            )
        assert told(after, judge, "severity")["estimate"] < told(before, judge, "severity")["estimate"]
    worth = [one["panel"]["effective"] for one in (before, after)]
    assert worth[1]["interval"] == pytest.approx(worth[0]["interval"])


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


def test_a_planted_taste_for_layout_is_told_beside_length_and_silence_is_kept():
    covered, silent = [], []
    for seed in range(10):
        evidence = plant(anchors=300, all_judges=True, prompts=80, seed=seed).evidence
        marks = np.random.default_rng(seed).poisson(3, len(evidence.prompt)).astype(float)
        liked = 0.4 * np.log2(1 + marks[evidence.v_unit]) * (evidence.v_judge == 1)
        report = judge_bias(build_design(replace(evidence, marks=marks, v_value=evidence.v_value + liked)))
        effect = told(report, 1, "layout")
        assert effect["flagged"] is True
        covered.append(effect["interval"][0] <= 0.4 <= effect["interval"][1])
        others = [told(report, judge, "layout")["interval"] for judge in (0, 2, 3, 4, 5)]
        silent += [low <= 0 <= high for low, high in others]
    assert np.mean(covered) >= 0.8
    assert np.mean(silent) >= 0.86  # nominal .95, three Monte Carlo errors
    assert told(judge_bias(build_design(evidence)), 1, "layout")["status"] == "insufficient_data"


def test_a_judge_that_favours_its_own_model_is_told_from_one_that_favours_its_family():
    planted = plant(prompts=100, systems=10, anchors=700, all_judges=True)
    families = ("red", "red", "red", "blue", "blue", "blue", "grey", "grey", "grey", "grey")
    models = ("model-0", "other", "other", *(None,) * 7)
    evidence = replace(planted.evidence, system_families=families, system_models=models)
    own = (evidence.system[evidence.v_unit] == 0) & (evidence.v_judge == 0)
    evidence = replace(evidence, v_value=np.where(own, evidence.v_value + 1.0, evidence.v_value))
    report = judge_bias(build_design(evidence))
    favoured = told(report, 0, "own_model")
    assert favoured["interval"][0] <= 1.0 <= favoured["interval"][1]
    assert favoured["interval"][0] > 0
    assert told(report, 1, "own_model")["status"] == "not_identified"  # no system is its model


def test_a_compressing_judge_does_not_seem_to_disfavour_good_systems():
    """Judge 5 shows .4 of every difference: judge minus human would fall with the quality of a system."""
    planted = plant(prompts=100, systems=6, anchors=500, all_judges=True, spread=0.15)
    rows = judge_bias(build_design(planted.evidence))["judges"][5]["systems"]
    assert len(rows) == 6
    assert all(row["interval"][0] <= 0 <= row["interval"][1] for row in rows)
    assert not any(row["flagged"] for row in rows)


def test_a_newer_version_is_compared_with_the_one_before_on_the_same_answers():
    evidence = plant(anchors=240, all_judges=True).evidence
    newer = replace(evidence.judges[1], name=evidence.judges[0].name)
    report = judge_bias(
        build_design(replace(evidence, judges=(evidence.judges[0], newer, *evidence.judges[2:])))
    )
    assert "version_level" not in report["judges"][0]["effects"]
    effect = told(report, 1, "version_level")
    # 4 points of the scale; quality is .5 on average, so slopes do not matter
    assert effect["interval"][0] <= 4 * (SEVERITY[1] - SEVERITY[0]) <= effect["interval"][1]
    assert effect["compared_with"]["judge_version"] == evidence.judges[0].digest()
    assert told(report, 1, "version_agreement")["status"] == "identified"


def test_flags_take_the_number_of_effects_into_account():
    report = judge_bias(build_design(plant(anchors=240, all_judges=True).evidence))
    tested = [
        one
        for judge in report["judges"]
        for one in (*judge["effects"].values(), *judge["systems"])
        if one["p_value"] is not None
    ]
    assert report["multiplicity"]["effects"] == len(tested)
    assert report["multiplicity"]["method"] == "benjamini-hochberg"
    for one in tested:
        assert one["p_adjusted"] >= one["p_value"]
        assert one["flagged"] == (one["p_adjusted"] <= 0.05)
        outside = not one["interval"][0] <= one["no_effect"] <= one["interval"][1]
        assert outside == (one["p_value"] < 0.05)
    assert all(told(report, k, "severity")["flagged"] for k in (0, 2, 4))  # planted, and large


def test_crowded_grades_are_checked_as_categories():
    evidence = plant(anchors=240, all_judges=True).evidence
    assert judge_bias(build_design(evidence))["judges"][0]["checks"] == {}
    crowded = {
        name: np.clip(np.round(getattr(evidence, name) + 1.7), 1, 5) for name in ("v_value", "h_value")
    }
    checks = judge_bias(build_design(replace(evidence, **crowded)))["judges"]
    assert checks[0]["checks"]["severity"]["interval"][1] < 0 or SEVERITY[0] < 0
    assert {check["unit"] for judge in checks for check in judge["checks"].values()} <= {
        *("log odds", "log odds per doubling of length", None),
    }


def test_position_of_pairs_comes_with_a_test_of_redrawn_orders():
    report = judge_bias(build_design(plant_pairs(prompts=600, anchors=200, position=0.3).evidence))
    assert all(told(report, judge, "position")["p_randomisation"] < 0.01 for judge in range(6))
    null = judge_bias(build_design(plant_pairs(prompts=600, anchors=200, position=0.0).evidence))
    assert min(told(null, judge, "position")["p_randomisation"] for judge in range(6)) > 0.001
