"""Anchor sets are renewed: wear is counted, the worn leave, what changed is linked by those that stay."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.running_service import running_service
from tests.web.pages.planted import POINTWISE, pointwise, table

SET = "/anchor-sets/people"


@pytest.fixture(scope="module")
def project(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Recorded verdicts of six systems on sixty prompts, a third of them graded by people, calibrated."""
    folder = tmp_path_factory.mktemp("rotations")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as running, running.client() as client:
        rubric = {**POINTWISE, "criteria": POINTWISE["criteria"][:1]}
        assert client.put("/rubrics/support", json=rubric).status_code == 201
        verdicts, grades = pointwise()
        for row in (*verdicts, *grades):
            row |= {"prompt": f"What of {row['item_id']}?", "answer": f"{row['system']} says so."}
        sent = send(client, "/verdicts", verdicts)
        ended(lambda: client.get(f"/imports/{sent['import_id']}").json()["status"] == "done")
        send(client, "/anchors", grades, anchor_set="people")
        calibrated(client)
        yield client


def send(client: httpx2.Client, path: str, rows: list[dict[str, Any]], **form: str) -> dict[str, Any]:
    files = {"file": ("rows.csv", table(rows))}
    answer = client.post(path, data={"rubric": "support", **form}, files=files)
    assert answer.status_code in (200, 202), answer.text
    body: dict[str, Any] = answer.json()
    return body


def ended(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def calibrated(client: httpx2.Client) -> None:
    def idle() -> bool:
        runs = client.get("/calibrations").json()["items"]
        return bool(runs) and all(run["status"] not in ("queued", "running") for run in runs)

    ended(idle)
    assert client.get("/calibrations").json()["items"][0]["status"] == "done"


def test_wear_is_counted_and_the_most_worn_are_proposed(project: httpx2.Client) -> None:
    plan = project.get(f"{SET}/rotation-plan").json()
    assert plan["policy"] == {
        "every_days": 7, "share": 0.075, "overlap": 0.8, "half_life_days": 180, "half_life_exposures": 1000,
    }  # fmt: skip
    assert len(plan["retire"]) == -(-plan["items"] * 75 // 1000)
    assert plan["due"] is False
    first = plan["retire"][0]
    assert first["calibrations"] == 1
    assert first["showings"] == pytest.approx(4 * len(first["systems"]), abs=3)  # some verdicts are missing
    assert first["exposures"] == first["showings"] + 1
    worn = first["age_days"] / 180 + first["exposures"] / 1000
    assert first["freshness"] == pytest.approx(0.5**worn, abs=2e-4)
    fresh = [one["freshness"] for one in plan["anchors"]]
    assert fresh == sorted(fresh)
    assert sum(one["share"] for one in plan["systems"]) == pytest.approx(1)
    assert project.get(f"{SET}/rotation-plan").json()["retire"] == plan["retire"]


def test_an_export_wears_every_anchor_that_was_in_it(project: httpx2.Client) -> None:
    before = {one["item"]: one["exposures"] for one in project.get(f"{SET}/rotation-plan").json()["anchors"]}
    assert project.get(f"{SET}/export").status_code == 200
    after = project.get(f"{SET}/rotation-plan").json()["anchors"]
    assert all(one["exposures"] == before[one["item"]] + 20 for one in after)
    assert {one["exports"] for one in after} == {1}


@pytest.mark.parametrize(
    "asked, path",
    [
        ({"share": 0.4}, "share"),
        ({"share": 0}, "share"),
        ({"overlap": 0.2}, "overlap"),
        ({"half_life_days": -1}, "half_life_days"),
        ({"every_days": 1e9}, "every_days"),
    ],
)
def test_a_policy_that_could_not_be_linked_is_refused(project, asked, path) -> None:
    for answer in (
        project.get(f"{SET}/rotation-plan", params=asked),
        project.post(f"{SET}/rotations", json=asked),
    ):
        assert answer.status_code == 422
        assert path in [error["path"] for error in answer.json()["errors"]]


def test_a_set_that_is_not_there_or_too_small_is_not_rotated(project: httpx2.Client) -> None:
    assert project.get("/anchor-sets/nowhere/rotation-plan").status_code == 404
    assert project.post("/anchor-sets/nowhere/rotations", json={}).status_code == 404
    assert project.get("/anchor-sets/nowhere/rotations").status_code == 404
    rubric = {**POINTWISE, "criteria": POINTWISE["criteria"][:1]}
    project.put("/rubrics/tiny", json=rubric)
    rows = [
        {"item_id": f"t{k}", "system": "x", "annotator": "ann", "annotator_type": "expert", "score": 3}
        for k in range(5)
    ]
    send(project, "/anchors", rows, anchor_set="tiny", rubric="tiny")
    plan = project.get("/anchor-sets/tiny/rotation-plan").json()
    assert plan["retire"] == []
    assert "5 items is not rotated" in plan["warnings"][0]
    assert project.post("/anchor-sets/tiny/rotations", json={}).status_code == 422


def test_a_rotation_draws_new_answers_retires_the_worn_and_is_linked_by_the_rest(
    project: httpx2.Client,
) -> None:
    plan = project.get(f"{SET}/rotation-plan", params={"share": 0.1}).json()
    early = "early"
    made = {"name": early, "rubric": "support", "anchor_set": "people"}
    assert project.post("/annotation-queues", json=made).status_code == 201
    worn = [{"item_id": one["item"], "systems": one["systems"][:1]} for one in plan["retire"][:2]]
    added = project.post(f"/annotation-queues/{early}/items", json={"items": worn})
    assert added.status_code == 200, added.text
    answer = project.post(f"{SET}/rotations", json={"share": 0.1})
    assert answer.status_code == 201, answer.text
    done = answer.json()
    assert done["retired"] == [one["item"] for one in plan["retire"]]
    assert done["after_version"] == done["before_version"] + 1
    queue = project.get(f"/annotation-queues/{done['queue']}").json()
    assert queue["anchor_set"] == "people"
    assert project.get(f"{SET}/rotation-plan").json()["policy"]["share"] == 0.1
    report = project.get(f"{SET}/rotations/{done['id']}").json()
    (about,) = report["criteria"]
    assert about["refusal"] == "not_calibrated_after" or about["groups"][0]["n_new"] == 0

    # The queue that was drawn from before does not bring what was retired back.
    asked = {"annotator": "kim"}
    project.patch(f"/annotation-queues/{early}", json={"open": True})
    while (left := project.post(f"/annotation-queues/{early}/next", params=asked).json()["item"]) is not None:
        said = {"scores": {"helpfulness": [3]}}
        path = f"/annotation-queues/{early}/items/{left['id']}/grade"
        assert project.put(path, params=asked, json=said).status_code == 200
    published = project.post(f"/annotation-queues/{early}/publish")
    assert published.status_code == 422, published.text
    assert "rotated out" in published.json()["errors"][0]["problem"]

    # New grades come in, of people who are two points more lenient.
    verdicts, grades = pointwise()
    known = {(one["item_id"], one["system"]) for one in grades}
    more: list[dict[str, Any]] = []
    for one in verdicts:
        about_it = (one["item_id"], one["system"])
        if about_it not in known and one["score"] != "" and len(more) < 12:
            known.add(about_it)
            score = min(5, int(one["score"]) + 2)
            row = {key: one[key] for key in ("item_id", "system", "criterion")}
            more.append(
                row | {"annotator": "ann", "annotator_type": "expert", "score": score, "blind": "yes"}
            )
    send(project, "/anchors", more, anchor_set="people")
    calibrated(project)
    (about,) = project.get(f"{SET}/rotations/{done['id']}").json()["criteria"]
    assert about["before_calibration"] != about["after_calibration"]
    whole = about["groups"][0]
    assert whole["system"] is None
    assert whole["n_new"] == 12
    assert whole["n_retired"] > 0
    parts = [whole[name]["estimate"] for name in ("total", "overlap", "anchors")]
    assert parts[0] == pytest.approx(parts[1] + parts[2], abs=1e-9)
    assert whole["anchors"]["interval"][0] > 0
    assert "new anchors are harder or easier, or graded otherwise" in whole["sentence"]
    assert [one["id"] for one in project.get(f"{SET}/rotations").json()["items"]] == [done["id"]]
    assert project.get(f"{SET}/rotations/rot_0000000000000").status_code == 404
    assert project.get(f"{SET}/rotations/nonsense").status_code == 404
    page = project.get(f"/ui/anchor-sets/-/rotation/{done['id']}", params={"set": "people"})
    assert "all answers" in page.text


def test_the_page_plans_and_says_what_is_wrong_with_a_policy(project: httpx2.Client) -> None:
    path = "/ui/anchor-sets/-/rotation"
    assert "How worn the anchors are" in project.get(path, params={"set": "people"}).text
    wrong = project.get(path, params={"set": "people", "share": "a lot"})
    assert "Share replaced must be a number" in wrong.text
    wrong = project.get(path, params={"set": "people", "share": "0.4"})
    assert (wrong.status_code, "leaves an overlap of 0.6" in wrong.text) == (422, True)
    before = project.get(SET).json()["version"]
    assert f'name="version" value="{before}"' in project.get(path, params={"set": "people"}).text
    done = project.post(f"{path}?set=people", data={"share": "0.05", "version": before})
    assert done.status_code == 303, done.text
    again = project.post(f"{path}?set=people", data={"share": "0.05", "version": before})  # clicked twice
    assert (again.status_code, f"since version {before} was planned for" in again.text) == (422, True)
    assert project.get(SET).json()["version"] == before + 1
    assert "a file" in project.get(path, params={"set": "people"}).text
