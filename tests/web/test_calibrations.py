"""Calibrations over HTTP: asked for or scheduled by an upload, followed to their end, read back."""

import csv
import io
import json
import time
from collections.abc import Iterable
from typing import Any

import httpx2
import numpy as np
import pytest

from tests.calibration.planted import plant


def as_csv(columns: list[str], rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def upload(client: httpx2.Client, path: str, file: bytes, **form: str) -> dict[str, Any]:
    response = client.post(path, files={"file": ("rows.csv", file, "text/csv")}, data=form)
    assert response.status_code in (200, 202), response.text
    answered: dict[str, Any] = response.json()
    return answered


def wait_for(client: httpx2.Client, calibration_id: str) -> dict[str, Any]:
    """The calibration once it has ended."""
    until = time.monotonic() + 150
    while time.monotonic() < until:
        found: dict[str, Any] = client.get(f"/calibrations/{calibration_id}").json()
        if found["status"] not in ("queued", "running"):
            return found
        time.sleep(0.1)
    raise AssertionError("the calibration did not end")


def settle(client: httpx2.Client, rubric: str) -> None:
    """Wait until nothing of the rubric is queued or running."""
    until = time.monotonic() + 150
    while time.monotonic() < until:
        items = client.get("/calibrations", params={"rubric": rubric}).json()["items"]
        if items and all(one["status"] not in ("queued", "running") for one in items):
            return
        time.sleep(0.1)
    raise AssertionError("a calibration did not end")


@pytest.fixture(scope="module")
def planted(client: httpx2.Client) -> httpx2.Client:
    """A rubric with recorded verdicts and anchors of a known truth, calibrated because of the upload."""
    world = plant(prompts=40, systems=5, anchors=80)
    evidence = world.evidence
    criterion = {"name": "helpfulness", "description": "Helps.", "scale": {"min": 1, "max": 5, "step": None}}
    rubric = {"kind": "pointwise", "instructions": "Judge.", "criteria": [criterion]}
    assert client.put("/rubrics/planted", json=rubric).status_code == 201
    name = evidence.systems
    verdicts = as_csv(
        ["item_id", "system", "criterion", "judge", "judge_family", "score", "len_words"],
        (
            (f"i{evidence.item[u]}", name[evidence.system[u]], "helpfulness", evidence.judges[j].name,
             evidence.judges[j].family, np.clip(v, 1, 5), int(evidence.length[u]))
            for u, j, v in zip(evidence.v_unit, evidence.v_judge, evidence.v_value, strict=True)
        ),
    )  # fmt: skip
    job = upload(client, "/verdicts", verdicts, rubric="planted")
    until = time.monotonic() + 150
    while job.get("status") in ("queued", "running", "pending") and time.monotonic() < until:
        time.sleep(0.1)
        job = client.get(f"/imports/{job['import_id']}").json()
    anchors = as_csv(
        ["item_id", "system", "criterion", "annotator", "annotator_type", "score"],
        (
            (f"i{evidence.item[u]}", name[evidence.system[u]], "helpfulness", f"person-{a}", "expert",
             np.clip(v, 1, 5))
            for u, a, v in zip(evidence.h_unit, evidence.h_annotator, evidence.h_value, strict=True)
        ),
    )  # fmt: skip
    upload(client, "/anchors", anchors, rubric="planted", anchor_set="people")
    settle(client, "planted")
    return client


def test_an_upload_of_anchors_schedules_a_calibration_that_ends_done(planted: httpx2.Client) -> None:
    items = planted.get("/calibrations", params={"rubric": "planted"}).json()["items"]
    assert [one["status"] for one in items] == ["done"]
    assert items[0]["model"] == {}
    whole = planted.get(f"/calibrations/{items[0]['calibration_id']}").json()
    effects = {one["name"]: one for one in whole["model"]["fixed_effects"]}
    assert set(effects) == {"intercept", "panel", "between_systems", "length"}
    assert effects["panel"]["interval"][0] < effects["panel"]["estimate"] < effects["panel"]["interval"][1]
    assert whole["model"]["optimiser"]["converged"]
    assert whole["snapshot"]["counts"]["graded_units"] == 80
    assert whole["snapshot"]["anchor_sets"] == [{"name": "people", "version": 1}]
    held_out = whole["model"]["diagnostics"]
    assert held_out["held_out_rmse_native"] < 0.75 * held_out["raw_rmse_native"]


def test_asking_again_while_one_waits_answers_the_same_and_says_where(planted: httpx2.Client) -> None:
    response = planted.post("/calibrations", json={"rubric": "planted", "anchor_sets": ["people"]})
    assert response.status_code == 202
    queued = response.json()["calibrations"]
    assert response.headers["location"] == f"/calibrations/{queued[0]['calibration_id']}"
    assert wait_for(planted, queued[0]["calibration_id"])["status"] == "done"


def test_the_same_data_give_the_same_model_whatever_the_run(planted: httpx2.Client) -> None:
    one = planted.post("/calibrations", json={"rubric": "planted"}).json()["calibrations"][0]
    first = wait_for(planted, one["calibration_id"])
    older = planted.get("/calibrations", params={"rubric": "planted"}).json()["items"][-1]
    second = planted.get(f"/calibrations/{older['calibration_id']}").json()
    assert first["snapshot"]["sha256"] == second["snapshot"]["sha256"]
    assert first["model"]["fixed_effects"] == second["model"]["fixed_effects"]


def test_verdicts_that_come_after_the_anchors_are_calibrated_unasked(client: httpx2.Client) -> None:
    criteria = [{"name": "clear", "description": "Clear.", "scale": {"min": 1, "max": 5, "step": 1}}]
    rubric = {"kind": "pointwise", "instructions": "Judge.", "criteria": criteria}
    assert client.put("/rubrics/later", json=rubric).status_code == 201

    def runs() -> int:
        return len(client.get("/calibrations", params={"rubric": "later"}).json()["items"])

    def verdicts(score: int) -> bytes:
        columns = ["item_id", "system", "criterion", "judge", "judge_family", "score"]
        return as_csv(columns, [(f"q{k}-{score}", "bot", "clear", "j", "f", score) for k in range(3)])

    upload(client, "/verdicts", verdicts(2), rubric="later")
    assert runs() == 0  # nobody has graded anything yet
    people = as_csv(
        ["item_id", "system", "criterion", "annotator", "annotator_type", "score"],
        [(f"q{k}-3", "bot", "clear", "anna", "expert", 4) for k in range(3)],
    )
    upload(client, "/anchors", people, rubric="later", anchor_set="people-later")
    settle(client, "later")
    before = runs()
    upload(client, "/verdicts", verdicts(3), rubric="later", dry_run="true")
    upload(client, "/verdicts", verdicts(2), rubric="later")  # a file that was imported before
    assert runs() == before
    upload(client, "/verdicts", verdicts(3), rubric="later")
    assert runs() == before + 1
    settle(client, "later")


def test_a_rubric_without_evidence_is_refused_with_the_reason(client: httpx2.Client) -> None:
    queued = client.post("/calibrations", json={"rubric": "point"}).json()["calibrations"]
    ended = wait_for(client, queued[0]["calibration_id"])
    assert ended["status"] == "refused"
    assert ended["refusals"][0].startswith("no_verdicts:")


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"rubric": "nowhere"}, 404, "nowhere"),
        ({"rubric": "point", "criterion": "charm"}, 422, "criteria"),
        ({"rubric": "point", "anchor_sets": ["ghost"]}, 422, "anchor set"),
        ({"rubric": "point", "anchors": []}, 422, "no such field"),
    ],
)
def test_what_cannot_be_calibrated_is_named(
    client: httpx2.Client, body: dict[str, object], status: int, word: str
) -> None:
    response = client.post("/calibrations", json=body)
    assert response.status_code == status
    assert word in json.dumps(response.json())


def test_an_unknown_calibration_is_not_found(client: httpx2.Client) -> None:
    assert client.get("/calibrations/c_0000000000000").status_code == 404
    assert client.get("/calibrations/nonsense").status_code == 404
