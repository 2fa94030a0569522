"""A cold regrade over HTTP: anchors drawn, graded by somebody new, held against the grades that stand."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.anchoring.files import csv_file, grade
from tests.annotating.test_queue import give, take
from tests.web.pages import planted
from tests.web.test_audits import audit, numbers

ITEMS, SYSTEMS = 30, ("bot-a", "bot-b")
DISPUTED = 5
"""Of every 15 items so many get another grade from whoever grades cold."""


def score(item: int, system: str) -> int:
    return 1 + (item + SYSTEMS.index(system)) % 3


def rows(**more: Any) -> list[dict[str, Any]]:
    return [
        grade(item_id=f"r{k}", system=system, prompt=f"Question {k}?", answer=f"Says {system} to {k}.")
        | {"annotator": who, "criterion": "helpfulness", "score": score(k, system)}
        | {"stratum.language": "de" if k % 3 == 0 else "en"}
        | more
        for k in range(ITEMS)
        for system in SYSTEMS
        for who in (("ann", "bob") if k % 2 else ("ann",))
    ]


@pytest.fixture(scope="module")
def first(client: httpx2.Client) -> str:
    """An anchor set that ann graded, and bob half of it."""
    uploaded = client.post(
        "/anchors",
        files={"file": ("grades.csv", csv_file(rows()).getvalue())},
        data={"rubric": "point", "anchor_set": "first"},
    )
    assert uploaded.status_code == 200, uploaded.text
    return "first"


@pytest.fixture(scope="module")
def regraded(client: httpx2.Client, first: str) -> dict[str, Any]:
    """Forty of them graded cold by kim, who puts every third item two points higher."""
    made = client.post(f"/anchor-sets/{first}/regrades", json={"items": 40, "stratum": "language", "seed": 5})
    assert made.status_code == 201, made.text
    queue = f"/annotation-queues/{made.json()['regrade']['queue']}"
    graded = []
    while (item := take(client, queue, "kim")) is not None:
        assert not any(name in str({**item, "answers": []}) for name in (*SYSTEMS, "ann", "bob"))
        (text,) = item["answers"]
        system, number = text.split()[1], int(text.split()[-1].rstrip("."))
        off = number % 15 < DISPUTED
        graded.append((system, "de" if number % 3 == 0 else "en", off))
        said = score(number, system) + 2 * off
        give(client, queue, "kim", item["id"], scores={"helpfulness": [said]})
    return {**made.json(), "address": queue, "graded": graded}


def test_a_plan_says_where_draws_go_and_what_they_can_tell(client, first):
    plan = client.get(f"/anchor-sets/{first}/regrade-plan").json()
    assert (plan["items"], plan["population"], plan["people"]) == (50, 60, ["ann", "bob"])
    assert [(one["system"], one["size"], one["drawn"]) for one in plan["cells"]] == [
        ("bot-a", 30, 25),
        ("bot-b", 30, 25),
    ]
    by_language = client.get(f"/anchor-sets/{first}/regrade-plan?stratum=language&items=12").json()
    cells = {(one["stratum"], one["system"]): (one["size"], one["drawn"]) for one in by_language["cells"]}
    assert cells == {("de", "bot-a"): (10, 2), ("de", "bot-b"): (10, 2),
                     ("en", "bot-a"): (20, 4), ("en", "bot-b"): (20, 4)}  # fmt: skip
    sized = client.get(f"/anchor-sets/{first}/regrade-plan?power=0.8").json()
    needed = {one["power"]: one["items"] for one in sized["power"]["needed"]}
    assert sized["items"] == needed[0.8] == 40  # 113.26 / (1 + 112.26 / 60) = 39.5
    assert sized["power"]["of_this"] >= 0.8


def test_what_cannot_be_drawn_is_refused_with_every_reason(client, first):
    plan = f"/anchor-sets/{first}/regrade-plan"
    wrong = client.get(f"{plan}?items=0&power=2&alternative=0.1").json()
    assert [one["path"] for one in wrong["errors"]] == ["items", "items", "power", "alternative"]
    unknown = client.get(f"{plan}?stratum=colour")
    assert (unknown.status_code, "language" in unknown.text) == (422, True)
    assert client.get("/anchor-sets/nobody/regrade-plan").status_code == 404
    bare = [{**row, "prompt": "", "answer": ""} for row in rows()]
    for row in bare:
        row["item_id"] = f"bare-{row['item_id']}"
    client.post("/anchors", files={"file": ("grades.csv", csv_file(bare).getvalue())},
                data={"rubric": "point", "anchor_set": "bare"})  # fmt: skip
    refused = client.post("/anchor-sets/bare/regrades", json={})
    assert (refused.status_code, "texts" in refused.text) == (422, True)


def test_cold_grades_are_held_against_the_set_and_change_none_of_it(client, first, regraded):
    before = client.get(f"/anchor-sets/{first}").json()
    assert regraded["plan"]["items"] == 40
    found = audit(client, "disagreement", anchor_set=first,
                  parameters=f'{{"regrade": "{regraded["regrade"]["queue"]}"}}')  # fmt: skip
    assert (found["status"], found["verdict"]) == ("done", "failed"), found
    assert found["warnings"] == []
    said = {one["name"]: one for one in found["estimates"]}
    share, moved = said["real_disagreements"], said["cold_above_by"]
    cells = regraded["plan"]["cells"]
    weight = {(one["system"], one["stratum"]): one["size"] / one["drawn"] for one in cells}
    weights = [weight[system, language] for system, language, _ in regraded["graded"]]
    assert len(set(weights)) > 1  # so that it shows whether they are used
    disputed = sum(w for w, (_, _, off) in zip(weights, regraded["graded"], strict=True) if off)
    assert share["estimate"] == pytest.approx(disputed / sum(weights))
    assert share["interval"][0] < 1 / 3 < share["interval"][1]
    assert moved["estimate"] == pytest.approx(2 * share["estimate"])
    assert said["noise_of_one_grade"]["estimate"] == pytest.approx(2 * share["estimate"])
    assert said["correlation_ceiling"]["estimate"] ** 2 == pytest.approx(
        max(said["krippendorff_alpha"]["estimate"], 0)
    )
    assert "No calibration" in said["noise_in_the_residual"]["note"]
    tables = {one["name"]: one for one in found["tables"]}
    assert {row[0] for row in tables["strata"]["rows"]} == {"language: de", "language: en"}
    assert {row[0] for row in tables["annotators"]["rows"]} == {"ann", "bob", "kim"}
    assert client.get(f"/anchor-sets/{first}").json() == before
    listed = client.get(f"/anchor-sets/{first}/regrades").json()["items"]
    assert [(one["done"], one["wanted"], one["version"]) for one in listed] == [(40, 40, 1)]


def test_where_nobody_differs_no_interval_says_how_surely_nothing_moves(client):
    alike = [{**row, "item_id": f"alike-{row['item_id']}"} for row in rows()]
    form = {"rubric": "point", "anchor_set": "alike"}
    client.post("/anchors", files={"file": ("grades.csv", csv_file(alike).getvalue())}, data=form)
    queue = client.post("/anchor-sets/alike/regrades", json={"items": 30}).json()["regrade"]["queue"]
    while (item := take(client, f"/annotation-queues/{queue}", "kim")) is not None:
        system, number = item["answers"][0].split()[1], int(item["answers"][0].split()[-1].rstrip("."))
        said = {"helpfulness": [score(number, system)]}
        give(client, f"/annotation-queues/{queue}", "kim", item["id"], scores=said)
    found = audit(client, "disagreement", anchor_set="alike", parameters=f'{{"regrade": "{queue}"}}')
    (systems,) = (one for one in found["tables"] if one["name"] == "systems")
    for row in systems["rows"]:
        said = dict(zip(systems["columns"], row, strict=True))
        assert (said["cold above by"], said["above from"], said["above to"]) == (0, None, None)
        assert said["really differ"] == 0 < said["differ to"]


def test_nothing_else_gets_into_a_cold_queue_or_out_of_it(client, regraded):
    queue = regraded["address"]
    assert client.get(queue).json()["cold"] is True
    assert client.post(f"{queue}/publish").status_code == 409
    assert client.post(f"{queue}/draws", json={"grades": 5}).status_code == 409
    named = {"items": [{"item_id": "r1", "systems": ["bot-a"]}]}
    assert client.post(f"{queue}/items", json=named).status_code == 409


def test_nobody_grades_cold_what_they_graded_before(client, first):
    made = client.post(f"/anchor-sets/{first}/regrades", json={"items": 60, "graders": 2}).json()
    queue = f"/annotation-queues/{made['regrade']['queue']}"
    refused = client.post(f"{queue}/next", params={"annotator": "Ann"})  # whatever the case
    assert (refused.status_code, "before" in refused.json()["detail"]) == (409, True)
    offered = 0
    while (item := take(client, queue, "bob")) is not None:
        assert int(item["answers"][0].split()[-1].rstrip(".")) % 2 == 0  # bob graded every other item
        give(client, queue, "bob", item["id"], scores={"helpfulness": [3]})
        offered += 1
    assert offered == 30
    assert client.post(f"{queue}/next", params={"annotator": "bob"}).json() == {
        "item": None, "done": 30, "left": 0}  # fmt: skip
    found = audit(client, "disagreement", anchor_set=first,
                  parameters=f'{{"regrade": "{made["regrade"]["queue"]}"}}')  # fmt: skip
    assert "30 of the 60 anchors that were drawn are not graded" in found["warnings"][0]


def test_a_regrade_is_held_against_the_version_that_it_was_drawn_from(client, first, regraded):
    parameters = f'{{"regrade": "{regraded["regrade"]["queue"]}"}}'
    earlier = numbers(audit(client, "disagreement", anchor_set=first, parameters=parameters))
    gone = client.post(f"/anchor-sets/{first}/retirements", json={"annotators": ["bob"], "reason": "left"})
    assert gone.status_code == 200, gone.text
    found = audit(client, "disagreement", anchor_set=first, parameters=parameters)
    assert numbers(found) == earlier
    assert "version 1" in found["warnings"][0]
    other = audit(client, "disagreement", anchor_set=first, parameters='{"regrade": "nothing"}')
    assert (other["status"], "nothing" in other["error"] or "regrade" in other["error"]) == ("failed", True)
    both = client.post("/audits", data={"kind": "disagreement", "anchor_set": first,
                                        "parameters": '{"regrade": "a", "cold": "b"}'})  # fmt: skip
    assert both.status_code == 422


def test_the_page_plans_draws_and_leads_to_the_desk(client, first):
    page = client.get("/ui/audits/-/regrade", params={"anchor_set": first, "items": 20})
    assert (page.status_code, "Draw them" in page.text) == (200, True)
    wrong = client.get("/ui/audits/-/regrade", params={"anchor_set": first, "items": 0})
    assert (wrong.status_code, "Cannot be drawn" in wrong.text) == (422, True)
    drawn = client.post("/ui/audits/-/regrade", data={"anchor_set": first, "items": 20})
    assert drawn.status_code == 303, drawn.text
    queue = client.get(drawn.headers["Location"])
    assert "Make anchors" not in queue.text
    assert "Audit disagreement" in queue.text


def test_people_who_disagree_are_told_what_that_does_to_the_calibration(client):
    assert client.put("/rubrics/noisy", json=planted.POINTWISE).status_code == 201
    verdicts, grades = planted.pointwise(40)
    for path, some, more in (("/verdicts", verdicts, {}), ("/anchors", grades, {"anchor_set": "noisy"})):
        sent = client.post(path, files={"file": ("f.csv", planted.table(some))},
                           data={"rubric": "noisy", **more})  # fmt: skip
        assert sent.status_code in (200, 202), sent.text
    _calibrated(client, "noisy", len(grades))
    found = audit(client, "disagreement", anchor_set="noisy")
    said = {one["name"]: one for one in found["estimates"]}
    by_unit: dict[tuple[str, str], list[float]] = {}
    for row in grades:
        by_unit.setdefault((row["item_id"], row["system"]), []).append(float(row["score"]))
    gaps = [many[0] - many[1] for many in by_unit.values() if len(many) == 2]
    noise = sum(gap**2 / 2 for gap in gaps) / len(gaps)
    assert said["noise_of_one_grade"]["estimate"] == pytest.approx(noise)
    share, more = said["noise_in_the_residual"], said["width_with_one_more_grade"]
    assert share["n"] == len(by_unit)
    assert 0 < share["interval"][0] <= share["estimate"] <= share["interval"][1] <= 1
    now = sum(1 / len(many) for many in by_unit.values())
    then = sum(1 / (len(many) + 1) for many in by_unit.values())
    assert more["estimate"] ** 2 == pytest.approx(1 - share["estimate"] * (now - then) / now, abs=1e-6)
    assert said["width_with_new_anchors"]["estimate"] < more["estimate"] < 1
    assert "tone" in found["warnings"][0]  # a criterion on which nobody graded


def _calibrated(client: httpx2.Client, rubric: str, grades: int) -> None:
    """Wait for a calibration that rests on that many human grades."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for run in client.get(f"/calibrations?rubric={rubric}").json()["items"]:
            if run["status"] == "done" and run["criterion"] == "helpfulness":
                counts = client.get(f"/calibrations/{run['calibration_id']}").json()["snapshot"]["counts"]
                if counts["human_grades"] == grades and counts["verdicts"] > 0:
                    return
        time.sleep(0.1)
    raise AssertionError("no calibration ended")


@pytest.mark.parametrize("kind", ["pair", "list"])
def test_pairs_and_lists_are_graded_again_in_the_order_of_their_items(client, kind):
    systems = ("bot-a", "bot-b", "bot-c")
    about = [
        {"item_id": f"{kind}{k}", "prompt": f"{kind} {k}?", "annotator": "ann", "annotator_type": "expert"}
        | {"criterion": "helpfulness"}
        for k in range(24)
    ]
    if kind == "pair":
        sides = [("bot-a", "bot-b") if k % 2 else ("bot-b", "bot-a") for k in range(24)]
        grades = [
            row | {"system_a": a, "system_b": b, "answer_a": f"{a} says", "answer_b": f"{b} says"}
            | {"verdict": "A" if a == "bot-a" else "B"}
            for row, (a, b) in zip(about, sides, strict=True)
        ]  # fmt: skip
    else:
        grades = [row | {"system": one, "answer": f"{one} says", "score": 1 + k}
                  for row in about for k, one in enumerate(systems)]  # fmt: skip
    name = f"{kind}-set"
    sent = client.post("/anchors", files={"file": ("g.csv", csv_file(grades).getvalue())},
                       data={"rubric": kind, "anchor_set": name})  # fmt: skip
    assert sent.status_code == 200, sent.text
    made = client.post(f"/anchor-sets/{name}/regrades", json={"items": 20}).json()
    queue, orders = f"/annotation-queues/{made['regrade']['queue']}", set()
    while (item := take(client, queue, "kim")) is not None:
        names = [text.split()[0] for text in item["answers"]]
        orders.add(tuple(names))
        said = (
            [1 if names[0] == "bot-a" else -1]
            if kind == "pair"
            else [1 + systems.index(one) for one in names]
        )
        give(client, queue, "kim", item["id"], scores={"helpfulness": said})
    assert len(orders) > 1
    found = audit(client, "disagreement", anchor_set=name,
                  parameters=f'{{"regrade": "{made["regrade"]["queue"]}"}}')  # fmt: skip
    assert found["status"] == "done", found
    said = {one["name"]: one for one in found["estimates"]}
    assert said["real_disagreements"]["estimate"] == 0.0
    assert said["real_disagreements"]["interval"][1] > 0
    assert said["real_disagreements"]["n"] == (20 if kind == "pair" else 60)
    assert said["krippendorff_alpha"]["interval"] is None  # nothing differs: how sure that is, nobody knows


def test_a_form_that_was_sent_twice_at_once_draws_once(service, client, first):
    def form() -> str:
        page = client.get("/ui/audits/-/regrade", params={"anchor_set": first, "items": 12})
        return re.search(r'action="(/ui/audits/-/regrade\?once=[\w-]+)"', page.text)[1]

    def send(address: str, items: int = 12) -> str:
        with service.client() as one:
            drawn = one.post(address, data={"anchor_set": first, "items": items})
            assert drawn.status_code == 303, drawn.text
            return drawn.headers["Location"]

    address = form()
    with ThreadPoolExecutor(4) as pool:
        queues = set(pool.map(send, [address] * 4))
    assert len(queues) == 1
    assert send(address) in queues  # sent again by going back
    assert send(address, 13) not in queues  # filled in otherwise
    assert send(form()) not in queues  # the page was loaded again
