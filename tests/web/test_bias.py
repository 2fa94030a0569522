"""Bias reports over HTTP, from recorded verdicts and anchors with planted effects."""

import httpx2
import pytest

from tests.calibration.planted import plant
from tests.running_service import POINTWISE
from tests.web.test_calibrations import as_csv, settle, upload


@pytest.fixture(scope="module")
def planted(client: httpx2.Client) -> httpx2.Client:
    evidence = plant(prompts=50, systems=5, anchors=200, all_judges=True).evidence
    criterion = {"name": "helpfulness", "description": "Helps.", "scale": {"min": 1, "max": 5, "step": None}}
    rubric = {"kind": "pointwise", "instructions": "Judge.", "criteria": [criterion]}
    assert client.put("/rubrics/told", json=rubric).status_code == 201
    system, item = [f"bot-{s}" for s in evidence.system], [f"item-{p}" for p in evidence.prompt]
    verdicts = [
        (item[u], system[u], f"judge-{j}", evidence.judges[j].family, min(max(v, 1), 5), 120)
        for u, j, v in zip(evidence.v_unit, evidence.v_judge, evidence.v_value, strict=True)
    ]
    columns = ["item_id", "system", "judge", "judge_family", "score", "len_words"]
    upload(client, "/verdicts", as_csv(columns, verdicts), rubric="told")
    people = [
        (item[u], system[u], f"person-{a}", "expert", min(max(v, 1), 5))
        for u, a, v in zip(evidence.h_unit, evidence.h_annotator, evidence.h_value, strict=True)
    ]
    columns = ["item_id", "system", "annotator", "annotator_type", "score"]
    upload(client, "/anchors", as_csv(columns, people), rubric="told", anchor_set="told")
    settle(client, "told")
    return client


def report(client: httpx2.Client, judge: str, expect: int = 200, **query: str) -> dict:
    response = client.get(f"/judges/{judge}/bias", params={"rubric": "told", **query})
    assert response.status_code == expect, response.text
    return response.json()


def test_every_bias_has_an_estimate_an_interval_an_n_and_a_sentence_or_says_what_is_missing(planted):
    body = report(planted, "judge-0")
    assert body["judge"] == "judge-0"
    assert body["family"] == "red"
    assert body["simulated"] is False
    (criterion,) = body["criteria"]
    assert criterion["status"] == "calibrated"
    assert criterion["calibration_id"].startswith("c_")
    (version,) = criterion["versions"]
    effects = {effect["name"]: effect for effect in version["effects"]}
    assert {
        *("severity", "discrimination", "position", "length", "own_family"),
        *("layout", "own_model", "agreement", "test_retest", "unscored_rate"),
    } <= effects.keys()
    for effect in [*effects.values(), *version["systems"]]:
        assert effect["sentence"].endswith(".")
        if effect["status"] == "identified":
            low, high = effect["interval"]
            assert low <= effect["estimate"] <= high
            assert effect["n"] > 0
            assert effect["unit"]
        else:
            assert effect["estimate"] is None
            assert effect["interval"] is None
    assert effects["severity"]["status"] == "identified"
    assert effects["severity"]["estimate"] > 0  # judge-0 is planted harsh
    assert effects["severity"]["flagged"] is True
    assert effects["severity"]["p_value"] <= effects["severity"]["p_adjusted"] < 0.05
    assert criterion["multiplicity"]["method"] == "benjamini-hochberg"
    assert criterion["multiplicity"]["effects"] >= 6 * 2
    assert effects["agreement"]["p_value"] is None
    assert effects["length"]["status"] == "not_identified"  # all answers have 120 words
    assert {system["name"] for system in version["systems"]} == {f"bot-{k}" for k in range(5)}


def test_one_criterion_may_be_asked_for(planted):
    assert len(report(planted, "judge-1", criterion="helpfulness")["criteria"]) == 1
    assert "helpfulness" in report(planted, "judge-1", 404, criterion="charm")["detail"]


def test_a_judge_with_verdicts_is_known_before_there_is_a_calibration(client):
    client.put("/rubrics/new", json=POINTWISE)
    verdicts = as_csv(
        ["item_id", "system", "judge", "judge_family", "score"], [("q1", "s", "newcomer", "f", 4)]
    )
    upload(client, "/verdicts", verdicts, rubric="new")
    found = client.get("/judges/newcomer/bias", params={"rubric": "new"}).json()
    assert (found["judge"], found["family"], found["simulated"]) == ("newcomer", "f", False)
    assert [(one["status"], one["versions"]) for one in found["criteria"]] == [("not_calibrated", [])]


def test_a_judge_that_nobody_knows_is_not_found(planted):
    assert "nobody" in report(planted, "nobody", 404)["detail"]


def test_a_judge_of_the_roster_without_verdicts_has_an_empty_report(planted):
    body = report(planted, "alder-1")
    assert (body["family"], body["simulated"]) == ("alder", True)
    assert body["criteria"][0]["versions"] == []


def test_an_unknown_rubric_is_not_found(planted):
    response = planted.get("/judges/judge-0/bias", params={"rubric": "none"})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_before_any_calibration_the_report_says_so(client):
    response = client.get("/judges/alder-1/bias", params={"rubric": "point"})
    assert {c["status"] for c in response.json()["criteria"]} == {"not_calibrated"}
