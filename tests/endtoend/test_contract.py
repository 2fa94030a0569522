"""The contract, line by line, where no other test holds it over HTTP.

What stands elsewhere: problems, sizes and content types (tests/web/test_grade.py), keys and scopes
(test_keys.py), uploads (test_anchors.py, test_verdicts.py), quality and comparisons (test_quality.py), bias
(test_bias.py), calibrations, callbacks, rubrics, the OpenAPI document (each its own file); settings
(tests/test_settings.py); pages (tests/web/pages); commands (tests/cli); faults and budgets (test_faults.py,
test_faulty_panels.py).

The judges here are recorded ones: what they say was imported too, so that grades can be calibrated.
"""

import asyncio
import csv
import io
import re
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from app.access.keys import KeyRing
from app.bootstrap import read_pepper
from app.domain.projects import Scope
from app.settings import read_settings
from app.storage.database import Database
from app.storage.projects import get_or_create_project
from tests.calibration.planted import FAMILIES, plant
from tests.running_service import LISTWISE, POINTWISE, RunningService, running_service

CRITERION = {"name": "helpfulness", "description": "Helps.", "scale": {"min": 1, "max": 5, "step": None}}
RUBRIC = {"kind": "pointwise", "instructions": "Judge.", "criteria": [CRITERION]}
EVIDENCE = plant(prompts=40, systems=4, anchors=90, all_judges=True).evidence


def table(columns: str, rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([columns.split(","), *rows])
    return text.getvalue().encode()


def name_of(unit: int) -> tuple[str, str]:
    return f"item-{EVIDENCE.prompt[unit]}", f"bot-{EVIDENCE.system[unit]}"


VERDICTS = table(
    "item_id,system,criterion,judge,judge_family,score,draw,len_words,judge_params,graded_at,unscored,stratum.language",
    [
        (*name_of(u), "helpfulness", f"judge-{j}", FAMILIES[j], round(float(np.clip(v, 1, 5)), 3), 1,
         int(EVIDENCE.length[u]), "", "2026-11-01T08:00:00Z", "", ("de", "en")[EVIDENCE.prompt[u] % 2])
        for u, j, v in zip(EVIDENCE.v_unit, EVIDENCE.v_judge, EVIDENCE.v_value, strict=True)
    ],
)  # fmt: skip
EXTREME = 1000  # an item that every judge recorded at the top of the scale
TOPS = [
    (f"item-{EXTREME}", "bot-1", "helpfulness", f"judge-{j}", family, 5, 1, 150, "", "", "", "de")
    for j, family in enumerate(FAMILIES)
]
PEOPLE = [
    (*name_of(u), "helpfulness", f"person-{a}", "expert", round(float(np.clip(v, 1, 5)), 3),
     "2026-11-02T09:30:00+02:00", "survey 7", "true", 0.5, ("de", "en")[EVIDENCE.prompt[u] % 2])
    for u, a, v in zip(EVIDENCE.h_unit, EVIDENCE.h_annotator, EVIDENCE.h_value, strict=True)
]  # fmt: skip
PEOPLE_COLUMNS = (
    "item_id,system,criterion,annotator,annotator_type,score,graded_at,source,blind,inclusion_probability,"
    "stratum.language"
)


@pytest.fixture(scope="module")
def service(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("contract")
    shutil.copyfile(_migrated_sqlite, folder / "venire.db")
    (folder / "verdicts.csv").write_bytes(VERDICTS + table("", TOPS).partition(b"\n")[2])
    roster = [
        f'[[judges]]\nname = "judge-{j}"\nfamily = "{family}"\nprovider = "recorded"\n'
        'params = { file = "verdicts.csv" }\n'
        for j, family in enumerate(FAMILIES)
    ]
    (folder / "judges.toml").write_text("\n".join(roster))
    settings = {"VENIRE_DATA_DIR": str(folder), "VENIRE_JUDGES": str(folder / "judges.toml")}
    with running_service(settings) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: RunningService) -> Iterator[httpx2.Client]:
    """A project with recorded verdicts, human grades and a calibration under the rubric ``told``."""
    with service.client() as client:
        for name in ("told", "few", "none"):
            assert client.put(f"/rubrics/{name}", json=RUBRIC).status_code == 201
            send(client, "/verdicts", VERDICTS, rubric=name)
        client.put("/rubrics/list", json=LISTWISE)
        send(client, "/anchors", table(PEOPLE_COLUMNS, PEOPLE), rubric="told", anchor_set="people")
        send(client, "/anchors", table(PEOPLE_COLUMNS, PEOPLE[:8]), rubric="few", anchor_set="a few")
        until = time.monotonic() + 100
        while any(one["status"] in ("queued", "running") for one in items(client, "/calibrations")):
            assert time.monotonic() < until
            time.sleep(0.2)
        yield client


def send(client: httpx2.Client, path: str, file: bytes, **form: str) -> dict[str, Any]:
    response = client.post(path, files={"file": file}, data=form)
    assert response.status_code == 200, response.text
    answered: dict[str, Any] = response.json()
    return answered


def items(client: httpx2.Client, path: str, limit: int = 100) -> list[dict[str, Any]]:
    """All entries of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = client.get(path, params=params).json()
        assert page.keys() == {"items", "next_cursor"}
        assert len(page["items"]) <= limit
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def grade(
    client: httpx2.Client, rubric: str = "told", item: int = 3, system: str = "bot-1", **more: Any
) -> Any:
    body = {
        "rubric": rubric,
        "prompt": f"Prompt {item}",
        "item_id": f"item-{item}",
        "answers": [{"system": system, "text": " ".join(["word"] * 150)}],
        **more,
    }
    response = client.post("/grade", json=body)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("path", ["/rubrics", "/anchor-sets", "/calibrations", "/judges", "/keys"])
def test_every_list_is_paged_by_cursor(client, path: str):
    whole = items(client, path)
    assert items(client, path, limit=1) == whole


def test_times_are_rfc_3339_in_utc_and_money_and_durations_say_their_unit(client):
    graded = grade(client)
    sources = [graded, client.get("/judges").json(), client.get("/calibrations").json()]
    sources += [client.get("/anchor-sets/people").json(), client.get("/rubrics/told").json()]
    times = [value for source in sources for key, value in walk(source) if key.endswith("_at") and value]
    assert len(times) > 10
    for value in times:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", value), value
        assert datetime.fromisoformat(value).utcoffset() == timedelta(0)
    for source in sources:
        for key, value in walk(source):
            if isinstance(value, float) and ("latency" in key or "cost" in key):
                assert key.endswith(("_ms", "_s", "_usd")), key
            if "probability" in key and value is not None:
                assert 0 <= value <= 1


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield key, child
            yield from walk(child)
    elif isinstance(value, list):
        for child in value:
            yield from walk(child)


def test_every_error_has_the_members_of_a_problem_document(client):
    answers = {
        404: client.get("/rubrics/unknown"),
        405: client.delete("/rubrics"),
        409: client.post("/grade", json={"rubric": "told", "prompt": "other", "item_id": "item-3",
                                         "answers": [{"system": "a", "text": ""}]}),
        415: client.post("/grade", content=b"x"),
        422: client.get("/quality"),
    }  # fmt: skip
    grade(client)  # item-3 has its prompt by now
    for status, response in answers.items():
        assert response.status_code in (status, 502), response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json().keys() >= {"type", "title", "status", "detail", "errors"}
        assert response.json()["type"].startswith("/problems/")
    for wrong in answers[422].json()["errors"]:
        assert wrong.keys() >= {"path", "problem"}
    assert len(answers[422].json()["errors"]) == 2  # rubric and criterion, both at once


@pytest.mark.parametrize(
    ("method", "path", "body", "count"),
    [
        ("PUT", "/rubrics/x", {"kind": "points", "criteria": []}, 3),
        ("POST", "/calibrations", {"rubrik": "x"}, 2),
        ("POST", "/comparisons", {"margin": -1, "level": 2}, 6),
        ("POST", "/keys", {"name": "", "scopes": ["root"]}, 2),
        ("PATCH", "/project", {"panel": {"min_families": 0, "x": 1}}, 2),
    ],
)
def test_a_bad_request_names_every_problem_at_once(client, method: str, path: str, body: Any, count: int):
    response = client.request(method, path, json=body)
    assert response.status_code == 422
    assert len(response.json()["errors"]) == count, response.json()


def test_every_post_answers_a_repeated_key_with_the_first_answer_and_another_body_with_409(client):
    comparison = {"rubric": "told", "criterion": "helpfulness", "baseline": "bot-0", "candidate": "bot-1"}
    asked: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "/calibrations": ({"json": {"rubric": "none"}}, {"json": {"rubric": "few"}}),
        "/comparisons": ({"json": comparison}, {"json": {**comparison, "margin": 1}}),
        "/verdicts": (
            {"files": {"file": VERDICTS}, "data": {"rubric": "none"}},
            {"files": {"file": VERDICTS}, "data": {"rubric": "few"}},
        ),
    }
    for path, (first, other) in asked.items():
        headers = {"Idempotency-Key": f"key of {path}"}
        answered = client.post(path, headers=headers, **first)
        again = client.post(path, headers=headers, **first)
        assert answered.is_success, answered.text
        assert again.content == answered.content
        assert again.headers["idempotency-replayed"] == "true"
        assert client.post(path, headers=headers, **other).status_code == 409


def test_the_request_of_the_contract_is_accepted_and_answered_with_all_its_fields(client):
    body = {
        "rubric": "told", "prompt": "Prompt 5", "context": "...", "reference": "...", "item_id": "item-5",
        "answers": [{"system": "bot-2", "family": "openai", "text": "..."}],
        "strata": {"language": "de", "domain": "billing", "difficulty": "hard"},
        "panel": {"families": 3, "judges_per_family": 1, "exclude_families": [], "both_orders": False,
                  "seed": None},
        "max_cost_usd": 0.05, "timeout_s": 60, "wait": True, "callback_url": None,
    }  # fmt: skip
    response = client.post("/grade", json=body)
    assert response.status_code == 200, response.text
    told = response.json()
    assert told.keys() >= {
        *("grade_id", "status", "seed", "rubric_version", "seats", "raw", "calibrated", "cost_usd")
    }
    for seat in told["seats"]:
        assert seat.keys() >= {
            *("judge", "judge_version", "family", "order", "inclusion_probability", "scores"),
            *("expected_scores", "preference", "rationale", "unscored", "latency_ms", "cost_usd", "cached"),
        }
        assert seat["inclusion_probability"] == 0.5
    assert told["raw"]["helpfulness"].keys() >= {"mean", "spread", "seats"}
    assert told["calibrated"]["helpfulness"].keys() >= {
        *("score", "interval", "level", "calibration_id", "status", "warnings")
    }


@pytest.mark.parametrize("count", [1, 11])
def test_a_list_has_two_to_ten_answers(client, count: int):
    answers = [{"system": f"s{k}", "text": "x"} for k in range(count)]
    response = client.post("/grade", json={"rubric": "list", "prompt": "?", "answers": answers})
    assert response.status_code == 422
    assert response.json()["errors"][0]["path"] == "body.answers"


def test_a_calibrated_grade_has_score_interval_and_calibration(client):
    told = grade(client)["calibrated"]["helpfulness"]
    assert told["status"] == "calibrated", told
    assert told["interval"][0] < told["score"] < told["interval"][1]
    assert told["level"] == 0.95
    found = client.get(f"/calibrations/{told['calibration_id']}").json()
    assert found["status"] == "done"
    assert found["snapshot"]["rubric_version"] == 1
    assert found["model"].keys() >= {"fixed_effects", "variance_components", "optimiser", "diagnostics"}
    for effect in [*found["model"]["fixed_effects"], *found["model"]["variance_components"]]:
        assert effect.keys() >= {"name", "interval"}


def test_a_grade_beyond_what_people_graded_says_that_it_extrapolates(client):
    # all six: what three noisy judges say would be drawn to the middle
    everyone = {"families": 3, "judges_per_family": 2}
    told = grade(client, item=EXTREME, panel=everyone)["calibrated"]["helpfulness"]
    assert told["status"] == "extrapolating", told
    assert any("outside the range" in warning for warning in told["warnings"])


def test_without_anchors_a_grade_is_judge_relative_and_with_too_few_it_says_so(client):
    none = grade(client, "none")["calibrated"]["helpfulness"]
    assert (none["status"], none["score"], none["interval"]) == ("judge_relative", None, None)
    few = grade(client, "few")["calibrated"]["helpfulness"]
    assert few["status"] == "insufficient_anchors", few
    assert few["warnings"]
    assert few["interval"] is None


def test_calibrations_are_listed_by_rubric_and_refusals_say_what_is_missing(client):
    rubrics = {one["rubric"] for one in client.get("/calibrations", params={"rubric": "few"}).json()["items"]}
    assert rubrics == {"few"}
    refused = client.get("/calibrations", params={"rubric": "few"}).json()["items"][-1]
    assert refused["status"] == "refused"
    assert any("are needed" in why for why in refused["refusals"])


def test_quality_is_told_by_system_and_stratum_and_comparisons_by_stratum(client):
    asked = {"rubric": "told", "criterion": "helpfulness", "by": ["system", "stratum.language"], "level": 0.9}
    rows = client.get("/quality", params=asked).json()["rows"]
    assert {(row["system"], row["strata"]["language"]) for row in rows} >= {("bot-0", "de"), ("bot-3", "en")}
    body = {
        "rubric": "told", "criterion": "helpfulness", "baseline": "bot-0", "candidate": "bot-3",
        "margin": 0.1, "by": ["stratum.language"],
    }  # fmt: skip
    told = client.post("/comparisons", json=body).json()
    assert told["verdict"] == "better"
    assert told["interval"][0] <= told["difference"] <= told["interval"][1]
    assert {row["strata"]["language"] for row in told["rows"]} >= {"de", "en"}


def test_bias_is_told_per_system_and_per_stratum(client):
    (told,) = client.get("/judges/judge-1/bias", params={"rubric": "told"}).json()["criteria"]
    (version,) = told["versions"]
    assert {one["name"] for one in version["strata"]["language"]} == {"de", "en"}
    assert {one["name"] for one in version["systems"]} == {f"bot-{k}" for k in range(4)}
    assert told["panel"]["name"] == "n_eff"
    for one in [*version["effects"], *version["systems"], told["panel"]]:
        assert one.keys() >= {"estimate", "interval", "n", "unit", "status", "sentence"}
        assert one["status"] in ("identified", "not_identified", "insufficient_data")


def test_a_grade_under_a_rubric_that_changed_since_the_calibration_is_stale(client):
    assert client.put("/rubrics/told", json={**RUBRIC, "instructions": "Judge anew."}).status_code == 201
    told = grade(client)
    assert told["rubric_version"] == 2
    assert told["calibrated"]["helpfulness"]["status"] == "stale"
    assert told["calibrated"]["helpfulness"]["warnings"]


def test_the_root_leads_to_the_pages(client):
    response = client.get("/")
    assert response.status_code in (302, 303, 307, 308)
    assert response.headers["location"].endswith("/ui")


def test_a_second_project_sees_nothing_of_the_first_even_in_errors(service, client):
    database = service.app.state.services.database

    async def key_of_another() -> str:
        async with Database(f"sqlite:///{database.url.database}") as db:
            now = datetime.now(UTC)
            other = await get_or_create_project(db, "other", now=now)
            settings = read_settings({"VENIRE_DATA_DIR": str(Path(database.url.database).parent)})
            ring = KeyRing(db, read_pepper(settings), lambda *_: None)
            return (await ring.create(other, "other", frozenset(Scope)))[1]

    grade_id = grade(client, item=7, prompt="a secret prompt")["grade_id"]
    key = asyncio.run(key_of_another())
    with service.client(key) as stranger:
        for path in (f"/grades/{grade_id}", "/rubrics/told", "/anchor-sets/people"):
            response = stranger.get(path)
            assert response.status_code == 404
            assert "secret prompt" not in response.text
        assert items(stranger, "/rubrics") == []
        stranger.put("/rubrics/told", json=POINTWISE)
        body = {
            "rubric": "told",
            "prompt": "mine",
            "item_id": "item-7",
            "answers": [{"system": "s", "text": ""}],
        }
        response = stranger.post("/grade", json=body)
        assert response.status_code in (200, 502)  # no conflict with the item of the other project
        assert "secret prompt" not in response.text
    with service.client() as nobody:  # the service hears of a first key made elsewhere within seconds
        until = time.monotonic() + 60
        while nobody.get("/rubrics").status_code != 401:
            assert time.monotonic() < until
            time.sleep(0.2)
