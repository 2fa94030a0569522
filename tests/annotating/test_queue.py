"""A queue over HTTP, from its draw to the anchors that it makes."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.domain.annotation import State
from app.domain.projects import Scope
from app.storage import annotations
from app.web.pages.page import SECTIONS
from tests.running_service import LISTWISE, PAIRWISE, POINTWISE, RunningService, running_service

SYSTEMS = ("secret-bot-1", "secret-bot-2", "secret-bot-3")


@pytest.fixture
def service(_migrated_sqlite: Path, tmp_path: Path) -> Iterator[RunningService]:
    shutil.copyfile(_migrated_sqlite, tmp_path / "venire.db")
    with running_service({"VENIRE_DATA_DIR": str(tmp_path)}) as running:
        yield running


@pytest.fixture
def client(service: RunningService) -> Iterator[httpx2.Client]:
    """While there is no key, on three rubrics with graded answers whose texts are known."""
    with service.client() as client:
        for name, rubric in {"point": POINTWISE, "pair": PAIRWISE, "list": LISTWISE}.items():
            assert client.put(f"/rubrics/{name}", json=rubric).status_code == 201
        yield client


def grade(client: httpx2.Client, rubric: str, item: int, systems: tuple[str, ...]) -> None:
    body = {
        "rubric": rubric,
        "item_id": f"q{item}",
        "prompt": f"Question {item}?",
        "answers": [{"system": one, "text": f"Answer {k} to {item}."} for k, one in enumerate(systems)],
    }
    response = client.post("/grade", json=body)
    assert response.status_code == 200, response.text


def make(client: httpx2.Client, rubric: str = "point", name: str = "first") -> str:
    body = {"name": name, "rubric": rubric, "anchor_set": f"{rubric}-people"}
    response = client.post("/annotation-queues", json=body)
    assert response.status_code == 201, response.text
    return f"/annotation-queues/{name}"


def take(client: httpx2.Client, queue: str, who: str | None) -> Any:
    asked = {} if who is None else {"annotator": who}
    response = client.post(f"{queue}/next", params=asked)
    assert response.status_code == 200, response.text
    return response.json()["item"]


def give(
    client: httpx2.Client, queue: str, who: str | None, item: str, expect: int = 200, **said: Any
) -> Any:
    asked = {} if who is None else {"annotator": who}
    response = client.put(f"{queue}/items/{item}/grade", params=asked, json=said)
    assert response.status_code == expect, response.text
    return response.json()


def test_drawn_items_are_graded_blind_and_become_anchors_with_their_provenance(client):
    for item in range(12):
        for system in SYSTEMS:
            grade(client, "point", item, (system,))
    queue = make(client)
    drawn = client.post(f"{queue}/draws", json={"grades": 20, "seed": 3, "double_share": 0.5}).json()
    assert (drawn["items"], drawn["doubles"], drawn["population"]) == (20, 10, 36)
    assert sum(drawn["by_system"].values()) == 20

    given: dict[str, set[str]] = {"kim": set(), "lee": set()}
    for who, score in (("kim", 4), ("lee", 1)):
        while (item := take(client, queue, who)) is not None:
            assert not any(system in str(item) for system in SYSTEMS)
            assert item["scores"] == {}  # of nobody else either
            assert "q" not in item["id"][2:] or f"q{0}" not in str(item["answers"])
            give(client, queue, who, item["id"], scores={"helpfulness": [score]}, note=f"{who} thinks so")
            given[who].add(item["id"])
    assert len(given["kim"]) == 20  # alone at first, kim was offered everything
    assert len(given["lee"]) == 10
    stands = client.get(queue).json()
    assert (stands["done"], stands["wanted"], stands["finished"]) == (30, 30, 20)
    assert stands["disagreements"] == 10  # 4 and 1 are more than a quarter of the scale apart

    done = client.post(f"{queue}/publish").json()
    assert (done["grades"], done["changed"], done["anchor_set"]["version"]) == (30, True, 1)
    again = client.post(f"{queue}/publish").json()
    assert (again["changed"], again["anchor_set"]["version"]) == (False, 1)
    held = client.get("/anchor-sets/point-people").json()
    assert (held["items"], held["grades"], held["annotators"]) == (held["items"], 30, 2)


def test_pairs_and_lists_come_back_in_the_order_of_their_items_whatever_order_a_person_saw(client, service):
    for item in range(8):
        grade(client, "pair", item, SYSTEMS[:2])
        grade(client, "list", item, SYSTEMS)
    pairs, lists = make(client, "pair", "pairs"), make(client, "list", "lists")
    assert client.post(f"{pairs}/draws", json={"grades": 8}).json()["items"] == 8
    named = [{"item_id": f"q{k}", "systems": list(SYSTEMS)} for k in range(8)]
    assert client.post(f"{lists}/items", json={"items": named}).json() == {"added": 8}
    assert client.post(f"{lists}/items", json={"items": named}).json() == {"added": 0}
    orders = set()
    while (item := take(client, pairs, "kim")) is not None:
        first_is_0 = item["answers"][0].startswith("Answer 0")
        orders.add(first_is_0)
        give(client, pairs, "kim", item["id"], scores={"helpfulness": [1 if first_is_0 else -1]})
    assert orders == {True, False}
    while (item := take(client, lists, "kim")) is not None:
        scores = [1 + int(text.split()[1]) for text in item["answers"]]  # answer k deserves k + 1
        give(client, lists, "kim", item["id"], scores={"helpfulness": scores})
    for queue in (pairs, lists):
        assert client.post(f"{queue}/publish").status_code == 200
    verdicts = {"pair": set(), "list": set()}
    for name, values in verdicts.items():
        for row in _stored(service, f"{name}-people"):
            values.add(row)
    assert verdicts["pair"] == {("secret-bot-1", 1.0, "people grading in the queue pairs", 1, True)}
    assert {row[:2] for row in verdicts["list"]} == set(zip(SYSTEMS, (1.0, 2.0, 3.0), strict=True))
    assert {row[4] for row in verdicts["list"]} == {False}  # named by hand: no chance was drawn


def test_lists_that_are_too_long_for_a_person_are_not_drawn(client):
    for systems in (SYSTEMS, tuple(f"bot-{k}" for k in range(8))):  # eleven answers to one question
        grade(client, "list", 0, systems)
    grade(client, "list", 1, SYSTEMS)
    queue = make(client, "list")
    drawn = client.post(f"{queue}/draws", json={"grades": 5}).json()
    assert (drawn["items"], drawn["population"]) == (1, 1)
    assert len(take(client, queue, "kim")["answers"]) == 3


def _stored(service: RunningService, anchor_set: str) -> list[Any]:
    """(system, value, source, blind, whether a chance is logged) of every grade of a set."""
    import sqlite3

    url = str(service.app.state.services.database.url.database)
    with sqlite3.connect(url) as connection:
        return connection.execute(
            "SELECT s.name, h.value, h.source, h.blind, h.inclusion_probability IS NOT NULL"
            " FROM human_verdicts h JOIN systems s ON s.id = h.system_id"
            " JOIN anchor_sets a ON a.id = h.anchor_set_id WHERE a.name = ?",
            (anchor_set,),
        ).fetchall()


def test_a_draft_that_is_overtaken_by_its_grade_does_not_take_it_back(client, monkeypatch):
    """A page saves by itself, and its person sends the form while that is still under way."""
    grade(client, "point", 1, SYSTEMS[:1])
    queue = make(client)
    client.post(f"{queue}/items", json={"items": [{"item_id": "q1", "systems": [SYSTEMS[0]]}]})
    item = take(client, queue, "kim")["id"]
    save, draft_is_read, graded = annotations.save_annotation, threading.Event(), threading.Event()

    async def overtaken(*args: Any, **said: Any) -> Any:
        if said["state"] is State.OPEN:
            draft_is_read.set()
            await asyncio.to_thread(graded.wait, 30)
        return await save(*args, **said)

    monkeypatch.setattr(annotations, "save_annotation", overtaken)
    with ThreadPoolExecutor() as pool:
        late = pool.submit(give, client, queue, "kim", item, draft=True, scores={"helpfulness": [2]})
        assert draft_is_read.wait(30)
        give(client, queue, "kim", item, scores={"helpfulness": [4]})
        graded.set()
        assert late.result()["state"] == "done"
    assert take(client, queue, "kim") is None
    assert client.get(queue).json()["done"] == 1


def test_drafts_skips_and_what_is_wrong_with_a_grade(client):
    grade(client, "point", 1, SYSTEMS[:1])
    queue = make(client)
    client.post(f"{queue}/items", json={"items": [{"item_id": "q1", "systems": [SYSTEMS[0]]}], "graders": 2})
    item = take(client, queue, "kim")["id"]
    wrong = give(client, queue, "kim", item, 422, scores={"helpfulness": [9], "wit": [1]})
    assert {one["path"] for one in wrong["errors"]} == {"scores.helpfulness", "scores.wit"}
    assert give(client, queue, "kim", item, 422, scores={})["errors"]
    assert give(client, queue, "kim", item, draft=True, note="later")["state"] == "open"
    assert take(client, queue, "kim")["note"] == "later"
    assert take(client, queue, "lee")["note"] == ""
    assert give(client, queue, "lee", item, 422, skip_reason="other")["errors"][0]["path"] == "note"
    assert give(client, queue, "lee", item, skip_reason="cannot_judge")["state"] == "skipped"
    assert take(client, queue, "lee") is None
    stands = client.get(queue).json()
    assert (stands["done"], stands["skipped"]) == (0, 1)
    assert client.post(f"{queue}/publish").status_code == 422
    give(client, queue, "max", item, 404, scores={"helpfulness": [3]})  # it was never before max
    assert client.post(f"{queue}/next", params={"annotator": "gpt-5"}).status_code == 422
    assert client.patch(queue, json={"open": False}).json()["open"] is False
    assert client.post(f"{queue}/next", params={"annotator": "kim"}).status_code == 409


def test_a_third_person_settles_what_two_disagree_on_and_all_grades_stay(client, service):
    grade(client, "point", 1, SYSTEMS[:1])
    queue = make(client)
    client.post(f"{queue}/items", json={"items": [{"item_id": "q1", "systems": [SYSTEMS[0]]}], "graders": 2})
    for who, score in (("kim", 5), ("lee", 1)):
        item = take(client, queue, who)["id"]
        give(client, queue, who, item, scores={"helpfulness": [score]}, note=f"because {score}")
    (apart,) = client.get(f"{queue}/disagreements").json()["items"]
    assert (apart["id"], apart["settled"]) == (item, False)
    for who in ("kim", "KIM "):
        refused = client.post(f"{queue}/items/{item}/adjudication", params={"annotator": who})
        assert refused.status_code == 409
    shown = client.post(f"{queue}/items/{item}/adjudication", params={"annotator": "max"}).json()
    assert sorted(one["note"] for one in shown["earlier"]) == ["because 1", "because 5"]
    assert not any(name in str(shown) for name in ("kim", "lee", *SYSTEMS))
    give(client, queue, "max", item, scores={"helpfulness": [2]})
    assert client.get(f"{queue}/disagreements").json()["items"][0]["settled"] is True
    client.post(f"{queue}/publish")
    said = {(value, source, blind) for _, value, source, blind, _ in _stored(service, "point-people")}
    plain = "people grading in the queue first"
    assert said == {(5.0, plain, 1), (1.0, plain, 1), (2.0, f"{plain}, settling a disagreement", 0)}


def test_one_person_under_two_spellings_is_not_two(client):
    grade(client, "point", 1, SYSTEMS[:1])
    queue = make(client)
    client.post(f"{queue}/items", json={"items": [{"item_id": "q1", "systems": [SYSTEMS[0]]}], "graders": 2})
    item = take(client, queue, "José Núñez")["id"]
    give(client, queue, "José Núñez", item, scores={"helpfulness": [4]})
    for name in ("JOSÉ  NÚÑEZ", "Jose\u0301 Nu\u0301n\u0303ez", "José\u00a0Núñez"):
        answer = client.post(f"{queue}/next", params={"annotator": name, "annotator_type": "crowd"})
        assert answer.json() == {"item": None, "done": 0, "left": 0}, name
    assert take(client, queue, "Jose Nunez")["id"] == item


def test_what_cannot_be_shown_is_refused_by_name(client):
    grade(client, "point", 1, SYSTEMS[:1])
    queue = make(client)
    named = [{"item_id": "q1", "systems": ["nobody"]}, {"item_id": "q9", "systems": [SYSTEMS[0]]}]
    refused = client.post(f"{queue}/items", json={"items": named})
    assert refused.status_code == 422
    assert [one["path"] for one in refused.json()["errors"]] == ["items[0].systems[0]", "items[1].systems[0]"]
    assert client.post(f"{queue}/draws", json={"grades": 5, "uniform_share": 0.1}).status_code == 422
    assert client.post("/annotation-queues", json={
        "name": "first", "rubric": "point", "anchor_set": "x"}).status_code == 409  # fmt: skip
    tuned = {"name": "gpt not human", "rubric": "point", "anchor_set": "x"}
    assert client.post("/annotation-queues", json=tuned).status_code == 422


def test_an_invitation_opens_its_queue_and_nothing_else(client, service):
    grade(client, "point", 1, SYSTEMS[:1])
    queue, other = make(client), make(client, name="other")
    client.post(f"{queue}/items", json={"items": [{"item_id": "q1", "systems": [SYSTEMS[0]]}]})
    invitation = {"annotator": "kim", "annotator_type": "expert"}
    assert client.post(f"{queue}/invitations", json=invitation).status_code == 409  # no key yet
    admin = client.post("/keys", json={"name": "me", "scopes": ["admin"]}).json()["key"]
    with service.client(admin) as boss:
        made = boss.post(f"{queue}/invitations", json=invitation)
        assert made.status_code == 201, made.text
        invited = made.json()
        assert invited["key"] in invited["link"]
        listed = boss.get(f"{queue}/invitations").json()["items"]
        assert [(one["annotator"], "key" in one) for one in listed] == [("kim", False)]
        assert {"annotate"} in [set(key["scopes"]) for key in boss.get("/keys").json()["items"]]
    with service.client(invited["key"]) as kim:
        item = take(kim, queue, None)
        give(kim, queue, None, item["id"], scores={"helpfulness": [4]})
        assert kim.post(f"{other}/next").status_code == 403
        assert kim.post(f"{queue}/next", params={"annotator": "lee"}).status_code == 403
        for method, path in _other_routes(kim):
            response = kim.request(method, path, json={} if method in ("POST", "PUT", "PATCH") else None)
            assert response.status_code in (403, 415, 422), (method, path, response.text)
            if response.status_code != 403:  # read before it is asked who calls; still nothing is done
                assert "errors" in response.json(), (method, path)
    with service.client(admin) as boss:
        assert boss.delete(f"{queue}/invitations/{invited['id']}").status_code == 204
    with service.client(invited["key"]) as kim:
        assert kim.post(f"{queue}/next").status_code == 401


def _other_routes(client: httpx2.Client) -> Iterator[tuple[str, str]]:
    """Everything else that the service documents, and its pages."""
    mine = {"/annotation-queues/{name}/next", "/annotation-queues/{name}/items/{item_id}/grade"}
    free = {"/healthz", "/readyz"}
    paths = client.get("/openapi.json").json()["paths"]
    assert len(paths) > 30
    for path, methods in paths.items():
        if path not in mine | free:
            yield from ((method.upper(), path.replace("{", "").replace("}", "")) for method in methods)
    for _, page in SECTIONS:
        if page != "/ui/annotate":
            yield "GET", page


def test_the_scope_of_an_invitation_cannot_be_asked_for(client):
    refused = client.post("/keys", json={"name": "sly", "scopes": [Scope.ANNOTATE.value]})
    assert refused.status_code == 422
