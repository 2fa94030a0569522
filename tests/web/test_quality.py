"""GET /quality and POST /comparisons over HTTP, on a project with planted qualities."""

import asyncio
import shutil
import time
from datetime import UTC, datetime

import pytest

from app.storage.database import Database
from app.storage.projects import get_or_create_project
from tests.reporting.projects import SYSTEMS, calibrate, judged_project
from tests.running_service import POINTWISE, running_service

ASK = {"rubric": "support", "criterion": "quality"}
COMPARE = {**ASK, "baseline": "bot-0", "candidate": "bot-4"}
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


async def _build(url: str) -> None:
    async with Database(url) as db:
        project = await get_or_create_project(db, now=NOW)
        await judged_project(db, project.id, NOW, silent_below=2.8)
        await calibrate(db, project.id, NOW)


@pytest.fixture(scope="module")
def client(_migrated_sqlite, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    asyncio.run(_build(f"sqlite:///{folder / 'venire.db'}"))
    with running_service({"VENIRE_DATA_DIR": str(folder)}) as service, service.client() as client:
        client.put("/rubrics/empty", json=POINTWISE)
        yield client


def test_every_row_has_the_fields_of_the_contract(client):
    response = client.get("/quality", params=ASK)
    assert response.status_code == 200
    table = response.json()
    assert len(table["rows"]) == SYSTEMS
    for row in table["rows"]:
        assert set(row) >= {
            "system", "strata", "n_items", "n_anchors", "raw_mean", "corrected", "interval",
            "rectifier", "effective_sample_size", "status", "warnings",
        }  # fmt: skip
        assert row["status"] == "calibrated"
        assert row["interval"][0] <= row["corrected"] <= row["interval"][1]
    assert table["calibration_id"].startswith("c_")
    assert table["simulated"] is False
    assert table["scale"] == [1.0, 5.0]


def test_whether_the_judges_are_worth_having_is_told_and_shown(client):
    table = client.get("/quality", params=ASK).json()
    panel = table["panel"]
    assert panel["status"] == "useful"
    assert panel["interval"][0] < panel["correlation"] < panel["interval"][1]
    assert panel["width_interval"][0] < panel["width_ratio"] < panel["width_interval"][1] < 1
    assert panel["grades_saved"] == pytest.approx(panel["correlation"] ** 2)
    assert panel["n_anchors"] == sum(row["n_anchors"] for row in table["rows"])
    page = client.get("/ui/quality", params=ASK).text
    assert "The judges are useful here: within rows their scores follow people" in page
    empty = client.get("/quality", params={"rubric": "empty", "criterion": POINTWISE["criteria"][0]["name"]})
    assert empty.json()["panel"] is None


def test_missing_verdicts_are_told_by_row_and_by_judge_and_shown_on_the_page(client):
    table = client.get("/quality", params=ASK).json()
    silent = [row["unscored"] for row in table["rows"]]
    assert sum(one["missing"] for one in silent) == sum(one["missing"] for one in table["judges"]) > 0
    for one, row in zip(silent, table["rows"], strict=True):
        assert one["interval"][0] <= one["rate"] == one["missing"] / one["n"] <= one["interval"][1]
        low, high = one["bounds"]["worst_case"]
        assert low <= row["raw_mean"] <= high
        assert [shift["sd"] for shift in one["bounds"]["shifted"]] == [-1.0, -0.5, 0.5, 1.0]
        corrected = one["bounds"]["corrected"]
        assert corrected["worst_case"][0] <= row["corrected"] <= corrected["worst_case"][1]
        assert corrected["worst_case_interval"][0] <= row["interval"][0]
        assert [shift["sd"] for shift in corrected["shifted"]] == [-1.0, -0.5, 0.5, 1.0]
    related = table["judges"][0]["related_to_quality"]
    assert related["status"] == "identified"
    assert related["interval"][1] < 0
    page = client.get("/ui/quality", params=ASK).text
    assert "Missing verdicts" in page
    assert "Corrected, at worst" in page
    ends = silent[0]["bounds"]["corrected"]["worst_case_interval"]
    assert f"{ends[0]:.2f} to {ends[1]:.2f}" in page
    assert f"{100 * silent[0]['rate']:.1f}%" in page
    assert "Verdicts of judge-0 are missing more" in page


def test_rows_follow_by_and_intervals_the_level(client):
    by = client.get("/quality", params={**ASK, "by": ["system", "stratum.language"]}).json()
    assert len(by["rows"]) == 2 * SYSTEMS
    assert {row["strata"]["language"] for row in by["rows"]} == {"de", "en"}
    narrow = client.get("/quality", params={**ASK, "level": 0.5}).json()["rows"]
    wide = client.get("/quality", params={**ASK, "level": 0.99}).json()["rows"]
    for a, b in zip(narrow, wide, strict=True):
        assert a["interval"][1] - a["interval"][0] < b["interval"][1] - b["interval"][0]


def test_a_rubric_without_verdicts_is_an_empty_table_and_not_an_error(client):
    table = client.get("/quality", params={"rubric": "empty", "criterion": "helpfulness"}).json()
    assert table["rows"] == []
    assert table["calibration_id"] is None
    assert table["warnings"]


def test_a_refused_calibration_is_told_in_its_own_words(client):
    client.put("/rubrics/refused", json=POINTWISE)
    asked = client.post("/calibrations", json={"rubric": "refused", "criterion": "helpfulness"})
    run = asked.json()["calibrations"][0]["calibration_id"]
    until = time.monotonic() + 120
    while (ended := client.get(f"/calibrations/{run}").json())["status"] in ("queued", "running"):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert ended["status"] == "refused"
    why = ended["refusals"][0].partition(": ")[2]
    about = {"rubric": "refused", "criterion": "helpfulness"}
    assert why in client.get("/quality", params=about).json()["warnings"][0]
    compared = client.post("/comparisons", json={**about, "baseline": "a", "candidate": "b"}).json()
    assert any(why in warning for warning in compared["warnings"])
    assert why in client.get("/ui/quality", params=about).text
    judge = client.get("/judges").json()["items"][0]["name"]
    assert why[1:] in client.get(f"/ui/judges/{judge}", params={"rubric": "refused"}).text  # a sentence


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({**ASK, "rubric": "none"}, 404),
        ({**ASK, "criterion": "none"}, 404),
        ({**ASK, "by": ["stratum.colour"]}, 422),
        ({**ASK, "by": ["nonsense"]}, 422),
        ({**ASK, "level": 1.0}, 422),
        ({**ASK, "level": "nan"}, 422),
        ({**ASK, "population": "everything"}, 422),
        ({"rubric": "support"}, 422),
    ],
)
def test_a_bad_question_is_a_problem_document(client, params, status):
    response = client.get("/quality", params=params)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]


def test_a_comparison_has_difference_interval_and_verdict(client):
    response = client.post("/comparisons", json={**COMPARE, "margin": 0.1, "by": ["stratum.language"]})
    assert response.status_code == 200
    found = response.json()
    assert found["verdict"] == "better"
    assert found["interval"][0] < found["difference"] < found["interval"][1]
    assert [row["strata"]["language"] for row in found["rows"]] == ["de", "en"]
    assert all(row["verdict"] in {"better", "inconclusive"} for row in found["rows"])


def test_without_a_calibration_a_comparison_is_inconclusive(client):
    body = {**COMPARE, "rubric": "empty", "criterion": "helpfulness"}
    found = client.post("/comparisons", json=body).json()
    assert (found["verdict"], found["difference"], found["interval"]) == ("inconclusive", None, None)
    assert found["warnings"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"rubric": "none"}, 404),
        ({"criterion": "none"}, 404),
        ({"baseline": "nobody"}, 422),
        ({"candidate": "bot-0"}, 422),
        ({"margin": -1}, 422),
        ({"by": ["system"]}, 422),
        ({"by": ["stratum.colour"]}, 422),
        ({"margins": 0.1}, 422),
    ],
)
def test_a_bad_comparison_is_a_problem_document(client, change, status):
    response = client.post("/comparisons", json={**COMPARE, **change})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


SWEEP = {"rubric": "support", "baseline": "bot-2", "margin": 0.1}


def test_a_table_of_comparisons_has_a_row_per_candidate_with_everything_a_row_needs(client):
    found = client.post("/comparisons/table", json={**SWEEP, "adjustment": "bh"}).json()
    assert [row["candidate"] for row in found["rows"]] == ["bot-0", "bot-1", "bot-3", "bot-4"]
    assert (found["adjustment"], found["compared"]) == ("bh", 4)
    for row in found["rows"]:
        assert row["interval"][0] < row["difference"] < row["interval"][1]
        assert row["p_adjusted"] >= row["p_value"]
        assert row["baseline_anchors"] == row["candidate_anchors"] == 25
        assert row["verdict"] in {"better", "worse", "equivalent", "inconclusive"}
    assert found["criteria"][0]["margin"] == 0.1


@pytest.mark.parametrize(
    ("change", "status", "paths"),
    [
        ({"rubric": "none"}, 404, []),
        ({"criteria": ["colour"]}, 422, ["body.criteria"]),
        ({"baseline": "nobody"}, 422, ["body.baseline"]),
        ({"candidates": ["bot-2"]}, 422, ["body.candidates"]),
        ({"margins": {"quality": -1}}, 422, ["body.margins.quality"]),
        ({"margin": -1, "level": 2}, 422, ["body.margin", "body.level"]),
        ({"adjustment": "none"}, 422, ["body.adjustment"]),
        ({"by": ["stratum.colour"]}, 422, ["body.by"]),
    ],
)
def test_a_bad_table_of_comparisons_is_a_problem_document(client, change, status, paths):
    response = client.post("/comparisons/table", json={**SWEEP, **change})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert [one["path"] for one in response.json().get("errors", [])] == paths


def test_the_page_of_comparisons_shows_every_row_and_lets_the_method_be_chosen(client):
    about = {**SWEEP, "by": "stratum.language", "adjustment": "bh"}
    page = client.get("/ui/quality/comparisons", params=about)
    assert page.status_code == 200
    assert "adjusted over 12 rows by Benjamini and Hochberg" in page.text
    assert '<th scope="row">bot-4, de</th>' in page.text
    assert '<option value="bh" selected>' in page.text
    one = client.get("/ui/quality/compare", params={**COMPARE, "by": "stratum.language", "adjustment": "bh"})
    assert '<option value="bh" selected>' in one.text
    assert "/ui/quality/comparisons?rubric=support" in client.get("/ui/quality", params=ASK).text
    wrong = client.get("/ui/quality/comparisons", params={**SWEEP, "candidate": "nobody"})
    assert "No verdict or human grade" in wrong.text or "no verdict or human grade" in wrong.text
