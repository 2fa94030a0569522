"""The audits over HTTP, on a service with a real database."""

import json
import time
from typing import Any

import httpx2
import pytest

from tests.anchoring.files import csv_file, grade
from tests.web.pages.planted import table

TEXTS = {
    "q0": "How do I undo my last commit without losing the changes I made to my files?",
    "q1": "Which train goes from the main station to the airport on Sunday mornings?",
    "q2": "Please write a short letter that asks my landlord to repair the heating.",
    "q3": "What is the boiling point of water on top of a mountain of 4000 metres?",
}


def rows(**more: Any) -> list[dict[str, Any]]:
    known = {"graded_at": "2026-10-01T10:00:00Z", "source": "annotation tool", "blind": "yes"}
    return [
        grade(item_id=f"q{k}", prompt=TEXTS[f"q{k}"], annotator=who, criterion="helpfulness", score=1 + k)
        | known
        | more
        for k in range(4)
        for who in ("ann", "bob")
    ]


@pytest.fixture
def anchors(client):
    def upload(name: str, grades: list[dict[str, Any]]) -> None:
        answer = client.post(
            "/anchors",
            files={"file": ("grades.csv", csv_file(grades).getvalue())},
            data={"rubric": "point", "anchor_set": name},
        )
        assert answer.status_code == 200, answer.text

    return upload


def audit(client: httpx2.Client, kind: str, *, file: bytes | None = None, **fields: Any) -> dict[str, Any]:
    files = {"file": ("corpus.jsonl", file)} if file is not None else {}
    parts = {name: (None, str(value)) for name, value in {"kind": kind, **fields}.items()}
    begun = client.post("/audits", files={**files, **parts})
    assert begun.status_code == 202, begun.text
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found: dict[str, Any] = client.get(begun.headers["Location"]).json()
        if found["status"] != "running":
            return found
        time.sleep(0.05)
    raise AssertionError("the audit did not end")


def numbers(found: dict[str, Any]) -> dict[str, float]:
    return {one["name"]: one["estimate"] for one in found["estimates"]}


def test_a_set_with_a_clean_record_passes(client, anchors):
    anchors("clean", rows())
    found = audit(client, "provenance", anchor_set="clean")
    assert (found["status"], found["verdict"]) == ("done", "passed"), found
    assert numbers(found)["share_that_passes"] == 1.0
    assert client.get("/quarantine?anchor_set=clean").json()["items"] == []


def test_grades_that_saw_scores_are_put_aside_until_a_person_decides(client, anchors):
    bad = rows()
    for row in bad[:4]:
        row["blind"] = "no"
    anchors("seen", bad)
    found = audit(client, "provenance", anchor_set="seen")
    assert found["verdict"] == "failed"
    assert numbers(found)["share_that_passes"] == 0.5
    waiting = client.get("/quarantine?anchor_set=seen&pending=true").json()["items"]
    assert sorted(one["item"] for one in waiting) == ["q0", "q1"]
    assert "saw systems or model scores" in waiting[0]["reason"]

    by_item = {one["item"]: one["quarantine_id"] for one in waiting}
    kept = client.post(f"/quarantine/{by_item['q0']}", json={"decision": "keep", "note": "checked by hand"})
    assert (kept.json()["decision"], kept.json()["note"]) == ("keep", "checked by hand")
    again = client.post(f"/quarantine/{by_item['q0']}", json={"decision": "retire"})
    assert again.status_code == 409
    assert client.post(f"/quarantine/{by_item['q1']}", json={"decision": "retire"}).status_code == 200
    stands = client.get("/anchor-sets/seen").json()
    assert (stands["version"], stands["items"], stands["grades"], stands["removed"]) == (2, 3, 6, 2)

    repeated = audit(client, "provenance", anchor_set="seen")
    assert repeated["verdict"] == "failed"
    assert client.get("/quarantine?anchor_set=seen&pending=true").json()["items"] == []


def test_who_settled_a_disagreement_saw_people_and_no_scores(client, anchors):
    settled = rows(
        annotator="cy", blind="no", source="people grading in the queue x, settling a disagreement"
    )
    anchors("settled", [*rows(), *settled[::2]])
    found = audit(client, "provenance", anchor_set="settled")
    assert (found["verdict"], numbers(found)["saw_systems_or_scores"]) == ("passed", 0.0)
    assert numbers(found)["blind"] == pytest.approx(8 / 12)
    assert client.get("/quarantine?anchor_set=settled").json()["items"] == []


def test_what_is_put_aside_counts_for_nothing_in_a_calibration(client, anchors):
    from tests.web.pages.planted import pointwise

    rubric = client.get("/rubrics/point").json()
    content = {key: rubric[key] for key in ("kind", "instructions", "criteria")}
    assert client.put("/rubrics/aside", json=content).status_code == 201
    _, grades = pointwise(30)
    for row in grades:
        row["blind"] = "no" if row["item_id"] < "q010" else "yes"
    data = {"rubric": "aside", "anchor_set": "partly-seen"}
    upload = client.post("/anchors", files={"file": ("g.csv", table(grades))}, data=data)
    assert upload.status_code == 200, upload.text
    before = _calibrated(client, "aside")
    audit(client, "provenance", anchor_set="partly-seen")
    after = _calibrated(client, "aside", newer_than=before["calibration_id"])
    dropped = sum(row["item_id"] < "q010" for row in grades)
    counts = [one["snapshot"]["counts"]["human_grades"] for one in (before, after)]
    assert counts == [len(grades), len(grades) - dropped]


def _calibrated(client: httpx2.Client, rubric: str, newer_than: str = "") -> dict[str, Any]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        runs = client.get(f"/calibrations?rubric={rubric}").json()["items"]
        ended = [run for run in runs if run["status"] in ("done", "refused", "failed")]
        if ended and ended[0]["calibration_id"] > newer_than and len(ended) == len(runs):
            return client.get(f"/calibrations/{ended[0]['calibration_id']}").json()
        time.sleep(0.1)
    raise AssertionError("no calibration ended")


def test_copies_edits_and_chat_messages_are_found_in_a_corpus_and_put_aside(client, anchors):
    anchors("leaky", rows())
    edited = TEXTS["q1"].replace("main", "central") + " Thanks!"
    chat = [{"role": "user", "content": TEXTS["q2"].upper()}, {"role": "assistant", "content": "Dear Sir"}]
    lines = [
        {"id": 1, "text": "Something else entirely, about gardens, roses and the best time to plant them."},
        {"id": 2, "text": edited},
        {"id": 3, "messages": chat},
    ]
    corpus = "\n".join(map(json.dumps, lines)).encode()
    found = audit(client, "overlap", anchor_set="leaky", file=corpus)
    assert found["verdict"] == "failed", found
    measures = {(one["item"], one["measure"], one["document"]) for one in found["pairs"]}
    assert ("q1", "near", "row 2, text") in measures
    assert ("q2", "exact", "row 3, messages") in measures
    assert {item for item, _, _ in measures} == {"q1", "q2"}
    assert numbers(found)["share_that_overlaps"] == 0.5
    waiting = client.get("/quarantine?anchor_set=leaky").json()["items"]
    assert sorted(one["item"] for one in waiting) == ["q1", "q2"]


def test_the_judges_prompts_are_a_corpus_too(client, anchors):
    rubric = client.get("/rubrics/point").json()
    content = {key: rubric[key] for key in ("kind", "criteria")}
    shots = f"Judge helpfulness. Example: {TEXTS['q3']} A good answer is: 86 degrees."
    assert client.put("/rubrics/few-shot", json={**content, "instructions": shots}).status_code == 201
    anchors("in-prompts", rows())
    found = audit(client, "overlap", anchor_set="in-prompts", parameters='{"prompts": true}')
    assert {one["item"] for one in found["pairs"]} == {"q3"}
    assert found["pairs"][0]["document"].startswith("rubric few-shot")


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"kind": "provenance"}, 422, "name it"),
        ({"kind": "provenance", "anchor_set": "nowhere"}, 404, "nowhere"),
        ({"kind": "guesswork", "anchor_set": "x"}, 422, "kind"),
        ({"kind": "overlap", "anchor_set": "asked", "parameters": '{"nearly": 1}'}, 422, "no parameter"),
        ({"kind": "overlap", "anchor_set": "asked", "parameters": '{"near": 7}'}, 422, "less than"),
        ({"kind": "overlap", "anchor_set": "asked", "parameters": "[1"}, 422, "not JSON"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is_stored(client, anchors, fields, status, said):
    anchors("asked", rows())
    parts = {name: (None, value) for name, value in fields.items()}
    answer = client.post("/audits", files=parts)
    assert answer.status_code == status
    assert said in answer.text
    assert client.get("/audits?anchor_set=asked").json()["items"] == []


def test_an_audit_that_cannot_be_done_says_why(client, anchors):
    anchors("no-corpus", rows())
    found = audit(client, "overlap", anchor_set="no-corpus")
    assert (found["status"], found["verdict"]) == ("failed", None)
    assert "needs a corpus" in found["error"]
    bad = audit(client, "overlap", anchor_set="no-corpus", file=b'{"a": 1}\n{broken')
    assert bad["status"] == "failed"
    assert "row 2" in bad["error"]


def test_an_annotator_apart_from_the_others_is_named(client, anchors):
    grades = [
        grade(item_id=f"d{k}", prompt=f"Question {k}?", annotator=who, criterion="helpfulness")
        | {"score": 1 + k % 3 + (2 if who == "cyd" else 0)}
        for k in range(30)
        for who in ("ann", "bob", "cyd")
    ]
    anchors("apart", grades)
    found = audit(client, "disagreement", anchor_set="apart")
    assert (found["status"], found["verdict"]) == ("done", "failed"), found
    assert numbers(found)["real_disagreements"] == pytest.approx(2 / 3)
    (people,) = (one for one in found["tables"] if one["name"] == "annotators")
    assert {row[0]: row[6] for row in people["rows"]} == pytest.approx({"ann": -1, "bob": -1, "cyd": 2})
    assert "cyd" in found["summary"]
