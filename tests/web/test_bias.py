"""Bias reports over HTTP, from recorded verdicts and anchors with planted effects."""

import csv
import io
import re
from html import unescape

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
    worth = criterion["panel_worth"]
    assert worth["interval"][0] < worth["estimate"] < worth["interval"][1]
    assert worth["n"] == 200
    assert worth["sentence"].startswith(("The judges are useful here", "The judges help little here"))
    assert (
        worth["sentence"].split(":")[0] in planted.get("/ui/judges/judge-0", params={"rubric": "told"}).text
    )
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


def details(
    client: httpx2.Client, kind: str, judge: str = "judge-0", expect: int = 200, **query: str
) -> dict:
    asked = {"rubric": "told", "criterion": "helpfulness", **query}
    response = client.get(f"/judges/{judge}/{kind}", params=asked)
    assert response.status_code == expect, response.text
    return response.json()


def test_whether_its_scores_mean_what_they_say_is_told_by_bins(planted):
    body = details(planted, "reliability")
    assert (body["status"], body["level"]) == ("calibrated", 0.95)
    (version,) = body["versions"]
    for told in (version["calibrated"], version["as_given"]):
        assert sum(one["n"] for one in told["bins"]) == 200
        for one in told["bins"]:
            assert one["low"] <= one["score"] <= one["high"]
            assert (one["interval"] is None) == (one["status"] != "identified")
        assert told["slope"]["sentence"].endswith(".")
    low, high = version["calibrated"]["slope"]["interval"]
    assert low <= 1 <= high
    assert version["as_given"]["slope"]["interval"][1] < 1  # judge-0 is planted with half the slope


def test_residuals_contribution_and_examples_are_told_with_what_they_rest_on(planted):
    (residuals,) = details(planted, "residuals")["versions"]
    assert {one["group"] for one in residuals["residuals"]} == {f"bot-{k}" for k in range(5)}
    assert sum(one["effect"]["n"] for one in residuals["residuals"]) == 200
    (part,) = details(planted, "contribution")["versions"]
    assert part["r2_with"] - part["r2_without"] == pytest.approx(part["effect"]["estimate"])
    assert 0 < part["weight"] < 1
    (found,) = details(planted, "examples")["versions"]
    assert {one["effect"] for one in found["examples"]} >= {"severity", "discrimination", "agreement"}
    for one in found["examples"]:
        assert one["answer_id"].startswith("a_")
        assert one["item"].startswith("item-")
        assert one["system"].startswith("bot-")
        assert one["words"] == 120
        assert one["sentence"].startswith("judge-0 gave ")
    only = details(planted, "examples", effect="severity")["versions"][0]["examples"]
    assert 1 <= len(only) <= 3
    assert all(one["people"] > one["judge"] for one in only)


@pytest.mark.parametrize("kind", ["reliability", "residuals", "contribution", "examples"])
def test_what_nobody_knows_is_not_found_and_what_is_not_calibrated_says_so(planted, kind):
    assert "nobody" in details(planted, kind, "nobody", 404)["detail"]
    assert "none" in details(planted, kind, expect=404, rubric="none")["detail"]
    assert "charm" in details(planted, kind, expect=404, criterion="charm")["detail"]
    empty = details(planted, kind, "alder-1", rubric="point", criterion="helpfulness")
    assert (empty["status"], empty["versions"], empty["calibration_id"]) == ("not_calibrated", [], None)


def test_a_refused_calibration_says_so_and_tells_what_needs_no_grades(client):
    rubric = {**POINTWISE, "instructions": "Judge strictly."}
    assert client.put("/rubrics/refusing", json=rubric).status_code == 201
    columns = ["item_id", "system", "judge", "judge_family", "score"]
    rows = [(f"q{k}", f"s{k % 3}", f"j{j}", f"f{j}", 1 + (k + j) % 5) for k in range(40) for j in range(2)]
    upload(client, "/verdicts", as_csv(columns, rows), rubric="refusing")
    run = client.post("/calibrations", json={"rubric": "refusing"})
    assert run.status_code == 202, run.text
    settle(client, "refusing")
    (criterion,) = client.get("/judges/j0/bias", params={"rubric": "refusing"}).json()["criteria"]
    assert criterion["status"] == "refused"
    assert criterion["refusals"] == ["no answer has a human grade; upload anchors"]
    (version,) = criterion["versions"]
    effects = {one["name"]: one["status"] for one in version["effects"]}
    assert effects["unscored_rate"] == "identified"
    assert effects["severity"] == "insufficient_data"
    asked = {"rubric": "refusing", "criterion": criterion["criterion"]}
    body = client.get("/judges/j0/contribution", params=asked).json()
    assert body["status"] == "refused"
    assert body["versions"][0]["effect"]["status"] == "insufficient_data"
    page = client.get("/ui/judges/j0", params={"rubric": "refusing"}).text
    assert (
        "The calibration of this criterion was refused: no answer has a human grade; upload anchors." in page
    )
    roster = client.get("/ui/judges", params=asked).text
    assert "The calibration was refused; told is what needs no human grades." in roster


def test_every_table_of_a_judges_page_comes_as_csv_and_json_with_the_numbers_of_the_api(planted):
    page = planted.get("/ui/judges/judge-0", params={"rubric": "told"}).text
    links = sorted({unescape(link) for link in re.findall(r'href="([^"]*table=[^"]*)"', page)})
    assert all("rubric=told" in link for link in links)
    names = {re.search(r"table=([^&]*)", link)[1] for link in links}
    assert names == {
        *("biases", "examples", "reliability", "as-given", "groups-system", "residuals-system", "versions")
    }
    for link in links:
        response = planted.get(link)
        assert response.status_code == 200
        kind = "csv" if link.endswith("csv") else "json"
        assert kind in response.headers["content-type"]
        assert response.headers["content-disposition"].endswith(f'.{kind}"')
    told = {
        effect["name"]: effect
        for effect in report(planted, "judge-0")["criteria"][0]["versions"][0]["effects"]
    }
    url = "/ui/judges/judge-0?rubric=told&table=biases&as="
    for row in planted.get(url + "json").json():
        effect = told[row["effect"]]
        assert (row["estimate"], row["n"], row["stands_out"]) == tuple(
            effect[key] for key in ("estimate", "n", "flagged")
        )
    rows = list(csv.DictReader(io.StringIO(planted.get(url + "csv").text)))
    assert {row["effect"] for row in rows} == told.keys()
    assert float(rows[0]["estimate"]) == told[rows[0]["effect"]]["estimate"]


def test_the_roster_comes_as_files_and_an_unknown_table_is_not_found(planted):
    asked = {"rubric": "told", "criterion": "helpfulness", "as": "json"}
    judges = planted.get("/ui/judges", params={**asked, "table": "judges"}).json()
    mine = {one["judge"]: one for one in judges}
    assert mine["judge-0"]["verdicts"] == 250
    assert sum(abs(mine[f"judge-{k}"]["weight"]) for k in range(6)) == pytest.approx(1)
    biases = planted.get("/ui/judges", params={**asked, "table": "biases"}).json()
    assert {one["effect"] for one in biases} >= {"severity", "adds", "agreement"}
    assert planted.get("/ui/judges", params={**asked, "table": "nonsense"}).status_code == 404
    assert planted.get("/ui/judges", params={**asked, "as": "xml", "table": "judges"}).status_code == 422
    assert planted.get("/ui/judges/judge-0?rubric=told&version=nonsense").status_code == 404
