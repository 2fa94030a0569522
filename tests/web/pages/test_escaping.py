"""Texts of others, shown on pages, stay texts: names, answers and rationales that try to be markup."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.running_service import RunningService
from tests.web.pages.planted import table

EVIL = "<script>alert(1)</script>"
QUOTED = '"><img src=x onerror=alert(1)>'
NAMES = {
    "rubric": "r <script>alert(1)",
    "criterion": f"c {QUOTED}",
    "judge": f"j/{EVIL}",
    "set": f"s {QUOTED}",
}


@pytest.fixture(scope="module")
def evil(service: RunningService) -> Iterator[tuple[httpx2.Client, dict[str, str]]]:
    """A project in which everything that has a name is called something nasty."""
    criterion = {"name": NAMES["criterion"], "description": EVIL, "scale": {"labels": [EVIL, QUOTED]}}
    rubric = {"kind": "pointwise", "instructions": EVIL, "criteria": [criterion]}
    with service.client() as client:
        path = _quoted(NAMES["rubric"]).replace("+", "%20")
        assert client.put(f"/rubrics/{path}", json=rubric).status_code == 201
        about = {"item_id": EVIL, "system": EVIL, "answer": QUOTED, "prompt": EVIL}
        about |= {"stratum.language": QUOTED}
        judged = about | {"judge": NAMES["judge"], "judge_family": QUOTED, "score": EVIL}
        graded = about | {"annotator": QUOTED, "annotator_type": "expert", "score": EVIL}
        sent = _post(client, "/verdicts", [judged])
        _post(client, "/anchors", [graded], anchor_set=NAMES["set"])
        body = {
            "rubric": NAMES["rubric"], "prompt": EVIL, "context": QUOTED, "reference": EVIL,
            "item_id": QUOTED,
            "answers": [{"system": EVIL, "family": QUOTED, "text": f"{EVIL} </textarea> {QUOTED}"}],
            "strata": {EVIL: QUOTED},
        }  # fmt: skip
        graded_here = client.post("/grade", json=body)
        assert graded_here.status_code == 200, graded_here.text
        yield client, {"import": sent["import_id"], "grade": graded_here.json()["grade_id"]}


def _post(client: httpx2.Client, path: str, rows: list[dict[str, Any]], **fields: str) -> dict[str, Any]:
    files = {"file": ("rows.csv", table(rows), "text/csv")}
    response = client.post(path, data={"rubric": NAMES["rubric"], **fields}, files=files)
    assert response.status_code in (200, 202), response.text
    answered: dict[str, Any] = response.json()
    return answered


def _quoted(text: str) -> str:
    return httpx2.QueryParams({"q": text}).__str__()[2:]


def test_no_name_and_no_text_becomes_markup_on_any_page(evil: tuple[httpx2.Client, dict[str, str]]) -> None:
    client, ids = evil
    rubric, criterion = _quoted(NAMES["rubric"]), _quoted(NAMES["criterion"])
    path = {name: _quoted(text).replace("+", "%20") for name, text in NAMES.items()}
    pages = [
        "/ui", "/ui/grades", f"/ui/grades/{ids['grade']}", "/ui/judges", f"/ui/judges/{path['judge']}",
        "/ui/rubrics", f"/ui/rubrics/{path['rubric']}", "/ui/anchor-sets", f"/ui/anchor-sets/{path['set']}",
        "/ui/anchor-sets/upload", "/ui/calibrations", "/ui/imports", f"/ui/imports/{ids['import']}",
        f"/ui/quality?rubric={rubric}&criterion={criterion}",
        f"/ui/quality?rubric={rubric}&criterion={criterion}&by={_quoted(EVIL)}",
        f"/ui/quality/compare?rubric={rubric}&criterion={criterion}&baseline={_quoted(EVIL)}&candidate=b",
        f"/ui/judges/{path['criterion']}", f"/ui/sign-in?next={_quoted(QUOTED)}",
    ]  # fmt: skip
    shown = 0
    for page in pages:
        response = client.get(page)
        assert response.status_code in (200, 303, 404), f"{page}: {response.text}"
        assert "<script" not in response.text, page
        assert "<img" not in response.text, page
        shown += "&lt;script&gt;" in response.text
    assert shown >= 8  # the names do show, as text


def test_a_file_that_is_previewed_shows_its_cells_as_text(
    evil: tuple[httpx2.Client, dict[str, str]],
) -> None:
    client, _ = evil
    rows = table([{EVIL: QUOTED, "system": EVIL, "score": f"{QUOTED}</select>"}])
    form = {"rubric": NAMES["rubric"], "anchor_set": f"{QUOTED}{EVIL}"}
    response = client.post(
        "/ui/anchor-sets/upload",
        data=form,
        files={"file": (f"{EVIL}.csv", rows, "text/csv")},
        follow_redirects=True,
    )
    assert response.status_code == 200
    assert "Check the upload" in response.text
    assert "<script" not in response.text
    assert "<img" not in response.text
