"""One grade and one answer: what each verdict was worth, and the anchors that read like it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.running_service import running_service
from tests.web.pages.planted import fill


@pytest.fixture(scope="module")
def project(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("planted")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as running, running.client() as client:
        yield client, fill(client)


def get(client: httpx2.Client, path: str, expect: int = 200, **query: str) -> Any:
    response = client.get(path, params=query)
    assert response.status_code == expect, response.text
    return response.json()


def test_the_parts_of_a_grade_add_up_to_its_calibrated_score(project: Any) -> None:
    client, ids = project
    grade = get(client, f"/grades/{ids['grade_weighed']}")
    (told,) = get(client, f"/grades/{ids['grade_weighed']}/contributions")["scores"]
    assert told["total"] == pytest.approx(grade["calibrated"]["helpfulness"]["score"])
    counted = [part for part in told["parts"] if part["points"] is not None]  # a judge may have no weight
    assert told["start"] + sum(part["points"] for part in counted) == pytest.approx(told["total"])
    assert sum(abs(part["weight"]) for part in counted) == pytest.approx(1)
    assert told["calibration_id"] == grade["calibrated"]["helpfulness"]["calibration_id"]
    seats = {seat["position"]: seat for seat in grade["seats"]}
    for part in told["parts"]:
        seat = seats[part["position"]]
        assert (part["judge"], part["value"]) == (seat["judge"], seat["scores"]["helpfulness"])


def test_a_grade_without_a_calibrated_score_has_no_parts(project: Any) -> None:
    client, ids = project
    assert get(client, f"/grades/{ids['grade_pair']}/contributions")["scores"] == []


def test_anchors_that_read_like_a_grade_share_its_words_and_come_with_peoples_grades(project: Any) -> None:
    client, ids = project
    anchors = get(client, f"/grades/{ids['grade_weighed']}/anchors")["anchors"]
    assert len(anchors) == 5
    assert all("password" in one["prompt"] for one in anchors)  # what was asked about, of six topics
    likeness = [one["likeness"] for one in anchors]
    assert likeness == sorted(likeness, reverse=True)
    assert all(0 < one <= 1 for one in likeness)
    for one in anchors:
        (given,) = one["grades"]
        assert (given["criterion"], given["grades"], given["simulated"]) == ("helpfulness", 1, False)
        assert 1 <= given["mean"] <= 5
    other = get(client, f"/grades/{ids['grade']}/anchors")["anchors"]
    assert all(one["likeness"] is None or "reset" in one["prompt"] for one in other)


def test_an_answer_of_an_import_is_told_with_every_judges_weight_and_what_people_gave(project: Any) -> None:
    client, ids = project
    asked = {"rubric": "support", "criterion": "helpfulness"}
    told = get(client, f"/answers/{ids['answer']}", **asked)
    example = next(
        one
        for version in get(client, "/judges/azure-4/examples", **asked)["versions"]
        for one in version["examples"]
        if one["answer_id"] == ids["answer"]
    )
    said = {one["judge"]: one for one in told["judges"]}
    assert said["azure-4"]["value"] == pytest.approx(example["judge"])
    assert told["people"] == pytest.approx(example["people"])
    assert told["grades"] == example["grades"]
    assert told["raw"] == pytest.approx(sum(one["value"] for one in told["judges"]) / len(said), abs=1e-5)
    assert sum(abs(one["weight"]) for one in told["judges"]) == pytest.approx(1)
    assert 1 <= told["held_out"] <= 5
    assert told["answer"] is None
    assert [one["likeness"] for one in told["anchors"]] == [None] * 5
    assert ids["answer"] not in [one["answer_id"] for one in told["anchors"]]
    assert told["anchors"][0]["item"] == told["item"]  # of the same item first


def test_an_answer_graded_here_leads_to_its_grades(project: Any) -> None:
    client, ids = project
    anchor = get(client, f"/grades/{ids['grade_weighed']}/anchors")["anchors"][0]
    told = get(client, f"/answers/{anchor['answer_id']}", rubric="live", criterion="helpfulness")
    assert len(told["grade_ids"]) == 1
    assert get(client, f"/grades/{told['grade_ids'][0]}")["item_id"] == anchor["item"]
    assert told["answer"].startswith("For the password")
    assert told["people"] == pytest.approx(anchor["grades"][0]["mean"])


def test_a_pair_says_the_same_whichever_answer_comes_first(project: Any) -> None:
    client, _ = project
    asked = {"rubric": "duel", "criterion": "preference"}
    example = get(client, "/judges/basalt%2Flarge/examples", **asked)["versions"][0]["examples"][0]
    one, two = example["answer_id"], example["other_answer_id"]
    there = get(client, f"/answers/{one}", **asked, other=two)
    back = get(client, f"/answers/{two}", **asked, other=one)
    assert there["people"] == pytest.approx(-back["people"])
    assert [a["value"] for a in there["judges"]] == pytest.approx([-b["value"] for b in back["judges"]])
    assert [a["weight"] for a in there["judges"]] == [b["weight"] for b in back["judges"]]


def test_what_is_not_there_is_not_found(project: Any) -> None:
    client, ids = project
    asked = {"rubric": "support", "criterion": "helpfulness"}
    assert "a_0000000000000" in get(client, "/answers/a_0000000000000", 404, **asked)["detail"]
    get(client, "/answers/nonsense", 404, **asked)
    get(client, f"/answers/{ids['answer']}", 404, rubric="none", criterion="helpfulness")
    get(client, f"/answers/{ids['answer']}", 404, rubric="support", criterion="charm")
    get(client, f"/answers/{ids['answer']}", 422, rubric="support")
    get(client, f"/answers/{ids['answer']}", 404, **asked, other="a_0000000000000")
    live = get(client, f"/grades/{ids['grade_weighed']}/anchors")["anchors"][0]["answer_id"]
    get(client, f"/answers/{ids['answer']}", 404, **asked, other=live)
    for kind in ("contributions", "anchors"):
        get(client, f"/grades/g_0000000000000/{kind}", 404)


def test_the_tables_of_a_grades_page_come_as_files_with_the_numbers_of_the_api(project: Any) -> None:
    client, ids = project
    page = f"/ui/grades/{ids['grade_weighed']}"
    text = client.get(page).text
    for name in ("results", "seats", "contributions", "anchors"):
        assert f"table={name}&amp;as=csv" in text
        assert client.get(f"{page}?table={name}&as=csv").headers["content-type"].startswith("text/csv")
    rows = json.loads(client.get(f"{page}?table=contributions&as=json").text)
    told = get(client, f"/grades/{ids['grade_weighed']}/contributions")["scores"][0]
    assert [row["points"] for row in rows] == [
        told["start"], *(part["points"] for part in told["parts"]), told["total"]
    ]  # fmt: skip
    seats = json.loads(client.get(f"{page}?table=seats&as=json").text)
    assert [row["value"] for row in seats] == [part["value"] for part in told["parts"]]
    answer = client.get(f"/ui/answers/{ids['answer']}?rubric=support&table=judges&as=json").json()
    assert {row["judge"] for row in answer} == {"azure-4", "azure-mini", "basalt/large", "cobalt-2"}
